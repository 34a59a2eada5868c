"""What would work in production and must not, and what is fine."""

import pytest

from tests.production import SETTINGS
from weelo import refusals
from weelo.lib.deployments.judge import faults_of
from weelo.lib.deployments.service import Service
from weelo.settings import env


def refused(given):
    """Every fault of an environment, by the rules of the start."""

    def rules(values, given, in_production):
        strict = refusals.in_production(values, given) if in_production else []
        return refusals.everywhere(values) + strict

    known = {variable.name for variable in env.variables} | refusals.FOREIGN.keys()
    assert given.keys() <= known
    found = faults_of(Service("http", given=dict(given)), env.variables, rules)
    return [fault for fault in found if "is no setting" not in fault]


def test_a_good_environment_is_fine():
    assert refused(SETTINGS) == []


UNSAFE = {
    "a short secret": ({"SECRET_KEY": "k3y"}, "SECRET_KEY", "3 characters"),
    "a monotonous secret": ({"SECRET_KEY": "ab" * 30}, "SECRET_KEY", "anybody guesses"),
    "an example's secret": (
        {"SECRET_KEY": "django-insecure-0123456789abcdefghijklmnopqrstuvwxyz"},
        "SECRET_KEY",
        "of an example",
    ),
    "a known password": (
        {"DATABASE_URL": "postgresql://weelo:postgres@db/weelo"},
        "DATABASE_URL",
        "everybody knows",
    ),
    "the embedded PostgreSQL": (
        {"DATABASE_URL": "postgresql://weelo@/weelo?host=/tmp/weelo-a1b2c3d4"},
        "DATABASE_URL",
        "embedded",
    ),
    "the embedded Valkey": (
        {"REDIS_URL": "unix:///tmp/weelo-a1b2c3d4/valkey.sock?db=0"},
        "REDIS_URL",
        "embedded",
    ),
    "a port of the embedded server": ({"DATABASE_PORT": "5433"}, "DATABASE_PORT", "for the demo"),
    "SMS to the console": ({"SMS_BACKEND": "console"}, "SMS_BACKEND", "sends nothing"),
    "SMS to a file": ({"SMS_BACKEND": "file"}, "SMS_BACKEND", "sends nothing"),
    "SMS to nowhere": ({"SMS_HTTP_URL": ""}, "SMS_HTTP_URL", "must be set"),
    "unsigned tokens": (
        {"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"},
        "FIREBASE_AUTH_EMULATOR_HOST",
        "unsigned tokens",
    ),
    "debugging": ({"DEBUG": "1"}, "DEBUG", "no debug mode"),
    "no asserts": ({"PYTHONOPTIMIZE": "1"}, "PYTHONOPTIMIZE", "assert"),
    "any host": ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS", "everybody"),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_what_is_unsafe_in_production_is_refused_by_name(what):
    settings, name, why = UNSAFE[what]
    (told,) = refused({**SETTINGS, **settings})
    assert told.startswith(f"{name}: ") and why in told


@pytest.mark.parametrize(
    "fine",
    [
        {"DEBUG": "0"},
        {"DEBUG": ""},
        {"PYTHONOPTIMIZE": "0"},
        {"FIREBASE_AUTH_EMULATOR_HOST": ""},
        {"DATABASE_URL": "host=db dbname=weelo user=weelo"},
        {"DATABASE_URL": "postgresql://weelo:9dLx-27f@db/weelo"},
        {"REDIS_URL": "rediss://:hush@cache:6380/1"},
        {"REDIS_URL": "unix:///run/valkey/valkey.sock"},
    ],
    ids=str,
)
def test_what_is_harmless_is_left_alone(fine):
    assert refused({**SETTINGS, **fine}) == []


def test_the_demo_may_do_what_production_may_not():
    assert refused({"WEELO_ENV": "demo", "SECRET_KEY": "short", "SMS_BACKEND": "file"}) == []


def test_sms_to_a_gateway_without_an_address_are_refused_in_the_demo_too():
    (told,) = refused({"WEELO_ENV": "demo", "SMS_BACKEND": "http"})
    assert told.startswith("SMS_HTTP_URL: must be set for SMS_BACKEND=http")
