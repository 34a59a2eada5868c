"""Settings are read with a type, and every fault is told at once, with the way out."""

import pytest

from weelo.lib.environment import Environment, Unusable

GATE = "for example GATE=https://gate.example"


def declared(strict=False, **given):
    env = Environment(given, strict=strict)
    env.whole("PORT", 8000, "A port.", most=65534)
    env.number("FACTOR", 1.5, "A factor.", least=1)
    env.flag("LOUD", False, "Whether.")
    env.words("HOSTS", ["localhost"], "Hosts.", required=True, example="weelo.example")
    env.text("LEVEL", "INFO", "Level.", one_of=("INFO", "ERROR"))
    env.url("GATE", "", "Gate.", ("https",), example="https://gate.example")
    env.json("BODY", "{}", "Body.")
    env.text("KEY", "", "Key.", secret=True, required=True, example="<random>")
    return env


def told(**given):
    env = declared(**given)
    with pytest.raises(SystemExit) as end:
        env.refuse([])
    return str(end.value).splitlines()[1:-1]


def test_what_is_given_has_its_type():
    given = {"PORT": "9", "FACTOR": "2", "LOUD": "Yes", "HOSTS": "a, b", "GATE": "https://x:1/y"}
    env = declared(**given)
    env.refuse([])
    expected = {"PORT": 9, "FACTOR": 2.0, "LOUD": True, "HOSTS": ["a", "b"], "LEVEL": "INFO"}
    assert env.values == {**expected, "GATE": "https://x:1/y", "BODY": "{}", "KEY": ""}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"PORT": "abc"}, "PORT: 'abc' is not a whole number; for example PORT=8000"),
        ({"PORT": "65535"}, "PORT: '65535' is not from 0 to 65534; for example PORT=8000"),
        ({"PORT": "1.5"}, "PORT: '1.5' is not a whole number; for example PORT=8000"),
        ({"FACTOR": "nan"}, "FACTOR: 'nan' is not from 1 to 1000000000; for example FACTOR=1.5"),
        ({"LOUD": "maybe"}, "LOUD: 'maybe' is neither true nor false; for example LOUD=false"),
        ({"LEVEL": "loud"}, "LEVEL: 'loud' is none of INFO, ERROR; for example LEVEL=INFO"),
        ({"BODY": "{"}, "BODY: '{' is not JSON; for example BODY={}"),
        *(
            (
                {"GATE": text},
                f"GATE: {text!r} is no address that begins with https://; {GATE}",
            )
            for text in ("gate", "http://gate", "https://", "https://ga te")
        ),
        (
            {"GATE": "https://gate:port"},
            f"GATE: 'https://gate:port' is no address; {GATE}",
        ),
    ],
)
def test_a_wrong_value_is_named_with_the_reason_and_an_example(given, why):
    assert told(**given) == [f"  {why}"]


def test_all_faults_are_told_at_once():
    assert [line.split(":")[0].strip() for line in told(strict=True, PORT="x", FACTOR="y")] == [
        "PORT",
        "FACTOR",
        "HOSTS",
        "KEY",
    ]


def test_what_production_needs_is_missing_there_and_nowhere_else():
    declared().refuse([])
    missing = told(strict=True, HOSTS="", KEY="")
    assert missing == [
        "  HOSTS: must be set in production; for example HOSTS=weelo.example",
        "  KEY: must be set in production; for example KEY=<random>",
    ]


def test_an_empty_number_is_one_that_is_not_set():
    assert declared(PORT="", LEVEL="").values["PORT"] == 8000


def test_a_wrong_secret_is_not_shown():
    env = Environment({"ADDRESS": "http://user:hush@gate"})
    env.url("ADDRESS", "", "Address.", ("https",), secret=True)
    assert env.faults[0].why.startswith("its value is no address")
    assert "hush" not in env.faults[0].why


def test_what_can_only_be_seen_here_is_looked_at_here():
    def look(path):
        raise ValueError(f"{path} is not there")

    env = Environment({"FILE": "/nowhere"})
    env.text("FILE", "", "File.", look=look)
    assert [str(fault) for fault in env.faults] == ["FILE: /nowhere is not there"]
    assert env.variables[0].value("/nowhere") == "/nowhere"


def test_a_variable_reads_texts_of_other_environments():
    (port, *_) = declared().variables
    assert port.value("1") == 1
    with pytest.raises(Unusable):
        port.value("one")
