"""Log lines tell what happened, and neither phones nor what was in a variable."""

import io
import json
import logging

import pytest
import structlog

from weelo.lib import logs


@pytest.fixture
def written():
    """Everything logged through a handler as Django's settings make it, in a format."""
    made = []

    def write(format_, say):
        into = io.StringIO()
        handler = logging.StreamHandler(into)
        options = logs._handlers("INFO", [], logs._final(format_))
        structured = dict(options["formatters"]["structured"])
        handler.setFormatter(structured.pop("()")(**structured))
        logging.getLogger().addHandler(handler)
        made.append(handler)
        say(structlog.get_logger("tests.logs"))
        return into.getvalue()

    yield write
    for handler in made:
        logging.getLogger().removeHandler(handler)


def break_down(log):
    code = "73" + "91"
    try:
        raise RuntimeError("broken" if code else "")
    except RuntimeError:
        log.exception("request failed", phone="+919000000001")


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_traceback_shows_no_local_variable_and_no_whole_phone(written, format_):
    line = written(format_, break_down)
    assert "request failed" in line and "RuntimeError" in line
    assert "7391" not in line
    assert "+919000000001" not in line and "0001" in line


def break_a_constraint(log):
    try:
        raise ValueError("Key (phone)=(+919000000001) already exists.")
    except ValueError:
        log.exception("request failed", seen=["+919000000002"])


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_fault_that_quotes_a_phone_shows_its_last_digits_only(written, format_):
    line = written(format_, break_a_constraint)
    assert "Key (phone)=(+…0001)" in line and "+…0002" in line
    assert "900000000" not in line


def test_a_json_line_is_one_object_with_its_fields(written):
    line = written("json", lambda log: log.info("order confirmed", order_id="7", trucks=2))
    told = json.loads(line)
    assert (told["event"], told["order_id"], told["trucks"]) == ("order confirmed", "7", 2)
