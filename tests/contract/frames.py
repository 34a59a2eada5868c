"""Holds frames of sockets to docs/asyncapi.yaml: `validate_frame("captain", "send", frame)`."""

from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, FormatChecker

from tests.contract.asyncapi import find

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.yaml"


def validate_frame(channel, direction, frame):
    """Raises AssertionError unless the document lets this frame pass on the channel (`captain`,
    `customer`) in the server's direction (`send`, `receive`)."""
    kind = frame.get("type")
    name = f"{kind}.{frame.get('name')}" if kind in {"event", "live"} else kind
    validator = validators(channel, direction).get(name)
    assert validator is not None, f"{channel}: nothing says that the server {direction}s {name}"
    wrong = [f"{fault.json_path} {fault.message}" for fault in validator.iter_errors(frame)]
    assert not wrong, f"{name}: {'; '.join(wrong)}"


@cache
def document():
    return yaml.safe_load(DOCUMENT.read_text())


@cache
def validators(channel, direction):
    """By the message's name within the channel, those of the operations in this direction."""
    place = f"#/channels/{channel}"
    found = {}
    for operation in document()["operations"].values():
        if operation["channel"]["$ref"] == place and operation["action"] == direction:
            for reference in operation["messages"]:
                message = find(document(), find(document(), reference["$ref"])["$ref"])
                name = reference["$ref"].removeprefix(f"{place}/messages/")
                schema = {**document(), **message["payload"]}
                found[name] = Draft202012Validator(schema, format_checker=FormatChecker())
    return found
