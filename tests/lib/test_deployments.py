"""Descriptions of deployments are read as compose and ECS read them, and judged before they run."""

import json
import textwrap

import pytest
import yaml
from django.core.management import CommandError, call_command

from tests.production import SETTINGS
from weelo.lib import deployments
from weelo.lib.deployments import written
from weelo.lib.deployments.interpolation import Demanded, fill_in
from weelo.lib.deployments.judge import is_ours
from weelo.lib.environment import FALSE
from weelo.settings import env

NOT_SEEN = "environmentFiles cannot be looked into; name the variables in environment and secrets"
KNOWN = {"A": "1", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("$A-${A}", "1-1"),
        ("a$$b", "a$b"),
        ("${NONE}", ""),
        ("${NONE:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE:-${A}/${NONE:-y}}", "1/y"),
        ("${A:?needed}", "1"),
        ("${EMPTY?needed}", ""),
        ("${A:+set}", "set"),
        ("${EMPTY:+set}", ""),
        ("${A}b${NONE-}c", "1bc"),
    ],
)
def test_a_value_is_filled_in_as_compose_does(text, filled):
    assert fill_in(text, KNOWN) == filled


@pytest.mark.parametrize("text", ["${NONE:?why}", "${NONE?}", "${EMPTY:?}", "x${NONE:?why}y"])
def test_a_value_that_compose_demands_is_not_known_yet(text):
    with pytest.raises(Demanded):
        fill_in(text, KNOWN)


@pytest.mark.parametrize("text", ["${A", "${}", "${A!}", "costs 5 $", "$5"])
def test_what_compose_does_not_take_is_a_fault(text):
    with pytest.raises(ValueError):
        fill_in(text, KNOWN)


@pytest.fixture
def described(tmp_path):
    """Writes a compose file, and files beside it; returns its path."""

    def write(text, **files):
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        path = tmp_path / "compose.yaml"
        path.write_text(textwrap.dedent(text))
        return path

    return write


def services(path, **shell):
    return {service.name: service for service in deployments.read(path, shell)}


def test_anchors_lists_files_and_the_shell_give_what_compose_would_give(described):
    path = described(
        """
        x-all: &all {environment: &environment {WEELO_ENV: production, PORT: 8000, SIMULATE: no}}
        services:
          http:
            <<: *all
            environment: {<<: *environment, PORT: "${PORT:-9000}"}
          live:
            env_file: [one.env, {path: none.env, required: false}]
            environment: ["PORT=7000", LOG_LEVEL, NOT_THERE, "COUNTRIES=IN,NP"]
          loop: {env_file: one.env, command: [python, manage.py, dispatch], deploy: {replicas: 3}}
        """,
        one_env="PORT=1\nORDER_TTL='90'\n# no\nexport DATA=${FOLDER:-/data}\n",
    )
    found = services(path, LOG_LEVEL="ERROR")
    assert found["http"].given == {"WEELO_ENV": "production", "PORT": "9000", "SIMULATE": "false"}
    assert found["live"].given == {
        "ORDER_TTL": "90",
        "DATA": "/data",
        "PORT": "7000",
        "LOG_LEVEL": "ERROR",
        "COUNTRIES": "IN,NP",
    }
    assert (found["loop"].given["PORT"], found["loop"].copies) == ("1", 3)
    assert [service.faults for service in found.values()] == [[], [], []]


def test_the_env_file_of_compose_itself_fills_in_and_the_shell_counts_more(described):
    text = "services: {http: {environment: {PORT: '${PORT}', DATA: '${DATA}'}}}"
    path = described(text, _env="PORT=1\nDATA=/data\n")
    assert services(path, PORT="2")["http"].given == {"PORT": "2", "DATA": "/data"}


def test_what_cannot_be_followed_is_a_fault_and_not_passed_over(described):
    path = described(
        """
        services:
          http: {extends: {service: base}, env_file: gone.env, environment: {A: [1], B: "${"}}
        """
    )
    assert services(path)["http"].faults == [
        "extends is not followed here; give the output of `docker compose config`",
        "env_file gone.env is not there",
        "A is no text",
        "B has ${ without its }",
    ]


@pytest.mark.parametrize(
    "text",
    ["[1]", "a: 1", "services: [1]", "{", "include: x\nservices: {}", "containerDefinitions: 1"],
)
def test_a_file_that_is_no_description_cannot_be_checked(described, text):
    with pytest.raises(CommandError, match="cannot be checked"):
        call_command("env", check=described(text))


def test_a_file_that_is_not_there_or_has_nothing_of_ours_cannot_be_checked(described, tmp_path):
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command("env", check=tmp_path / "none.yaml")
    with pytest.raises(CommandError, match="none of its services is Weelo's"):
        call_command("env", check=described("services: {db: {image: postgres}}"))


@pytest.mark.parametrize(
    ("service", "ours"),
    [
        ({"image": "registry.example:5000/weelo@sha256:00"}, True),
        ({"image": "app", "environment": {"WEELO_ENV": "production"}}, True),
        ({"image": "app", "command": "celery -A weelo beat"}, True),
        ({"build": "."}, True),
        ({"image": "nginx", "environment": {"PORT": "80"}}, False),
        ({"build": "./proxy"}, False),
    ],
)
def test_our_services_are_told_from_others(described, service, ours):
    path = described(yaml.safe_dump({"services": {"one": service}}))
    assert is_ours(services(path)["one"]) is ours


def refused(path):
    with pytest.raises(CommandError) as fault:
        call_command("env", check=path)
    return str(fault.value).splitlines()[1:]


def weelo(described, **changes):
    service = {"image": "weelo", "environment": {**SETTINGS, **changes}}
    return described(yaml.safe_dump({"services": {"http": service, "live": service}}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ORDER_TLL": 60}, "ORDER_TLL: is no setting; did you mean ORDER_TTL?"),
        ({"FROBNICATE": 1}, "FROBNICATE: is no setting"),
        ({"HTTP_THREADS": "four"}, "HTTP_THREADS: 'four' is not a whole number; for example"),
        ({"PORT": 70000}, "PORT: '70000' is not from 0 to 65534; for example"),
        ({"DEBUG": True}, "DEBUG: is set, and there is no debug mode in production; unset it"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY: has 5 characters and needs 50"),
        ({"SECRET_KEY": "${NONE}"}, "SECRET_KEY: must be set in production"),
    ],
)
def test_a_fault_is_told_with_the_services_that_have_it(described, changes, told):
    lines = [line for line in refused(weelo(described, **changes)) if "DEBUG: is no" not in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"  http, live: {told}")


def test_what_other_programs_read_is_left_alone(described, capsys):
    others = {"TZ": "UTC", "PYTHONUNBUFFERED": 1, "HTTPS_PROXY": "http://p", "AWS_REGION": "x"}
    call_command("env", check=weelo(described, **others))
    assert "is fine: http, live\n" in capsys.readouterr().out


def test_more_copies_than_are_counted_are_found(described):
    service = {"image": "weelo", "environment": {**SETTINGS, "WEELO_PROCESS": "loop"}}
    text = yaml.safe_dump({"services": {"loop": {**service, "deploy": {"replicas": 2}}}})
    assert refused(described(text)) == ["  loop: LOOP_COPIES: is 1, and 2 copies are to run"]


# --- ECS ------------------------------------------------------------------------------------


def definition(tmp_path, **container):
    path = tmp_path / "task.json"
    path.write_text(json.dumps({"taskDefinition": {"containerDefinitions": [container]}}))
    return path


def entries(values, key="value"):
    return [{"name": name, key: value} for name, value in values.items()]


def test_a_secret_in_plain_sight_of_a_task_definition_is_refused(tmp_path):
    account = '{"private_key": "hush"}'
    plain = {**SETTINGS, "DATABASE_URL": "postgresql://weelo:hush-9f@db/w", "SMS_HTTP_TOKEN": "t"}
    plain["FCM_CREDENTIALS"] = account
    path = definition(tmp_path, name="http", image="weelo", environment=entries(plain))
    why = "is a secret in plain sight; put it into secrets, with valueFrom"
    names = ["SECRET_KEY", "DATABASE_URL", "SMS_HTTP_TOKEN", "FCM_CREDENTIALS"]
    assert refused(path) == [f"  http: {name}: {why}" for name in names]


def test_broken_entries_of_a_task_definition_are_named(tmp_path):
    secret = {"SECRET_KEY": "/weelo/key"}
    given = {name: value for name, value in SETTINGS.items() if name not in secret}
    path = definition(
        tmp_path,
        name="http",
        image="weelo",
        environment=[*entries(given), {"name": "PORT", "value": 8000}, {"value": "x"}],
        secrets=[*entries(secret, "valueFrom"), {"name": "ALLOWED_HOSTS", "valueFrom": ""}],
        environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::x"}],
    )
    assert refused(path) == [
        "  http: PORT has no value that is a text",
        "  http: {'value': 'x'} has no name",
        "  http: ALLOWED_HOSTS is there twice",
        "  http: ALLOWED_HOSTS has an empty valueFrom",
        f"  http: {NOT_SEEN}",
    ]


# --- what `env --format` writes ---------------------------------------------------------------


def test_what_is_written_for_compose_is_fine_as_soon_as_what_it_demands_is_given(
    described, capsys, monkeypatch
):
    for variable in env.variables:
        monkeypatch.delenv(variable.name, raising=False)
    fragment = written.compose(env.variables, {})
    indented = textwrap.indent(fragment, "    ")
    path = described(f"services:\n  http:\n    image: weelo\n{indented}\n")
    call_command("env", check=path)
    told = capsys.readouterr().out
    needed = sorted(v.name for v in env.variables if v.required)
    assert f"is fine: http; not seen here: {', '.join(needed)}\n" in told
    given = services(path)["http"].given
    assert given["ORDER_TTL"] == "60" and given["SMS_HTTP_BODY"].startswith('{"to": "{to}"')
    assert "SIMULATE" not in given and given["PGBOUNCER"] in FALSE


def test_what_is_written_for_ecs_keeps_secrets_apart_and_lacks_only_what_nobody_said(tmp_path):
    said = {"ORDER_TTL": "90", "SECRET_KEY": "never shown"}
    fragment = json.loads(written.ecs(env.variables, said))
    assert {"name": "ORDER_TTL", "value": "90"} in fragment["environment"]
    assert {"name": "SECRET_KEY", "valueFrom": "/weelo/SECRET_KEY"} in fragment["secrets"]
    assert "never shown" not in json.dumps(fragment)
    named = [line.split(":")[1].strip() for line in refused(whole(tmp_path, fragment))]
    needed = {v.name for v in env.variables if v.required and not v.secret}
    assert set(named) == needed
    complete = json.loads(written.ecs(env.variables, SETTINGS))
    call_command("env", check=whole(tmp_path, complete))


def whole(tmp_path, fragment):
    return definition(tmp_path, name="http", image="weelo", **fragment)


def test_the_formats_come_out_of_the_command(capsys):
    call_command("env", format="compose")
    assert yaml.safe_load(capsys.readouterr().out)["environment"]["WEELO_ENV"] == "production"
    call_command("env", format="ecs")
    assert set(json.loads(capsys.readouterr().out)) == {"environment", "secrets"}
