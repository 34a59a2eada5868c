"""`python -m tests.contract.asyncapi FILE`: whether a file is a sound AsyncAPI 3.0 document.

Checks the shape of channels, operations and messages, that every reference leads somewhere, that
payloads are JSON schemas, and that every example fits the payload of its message.
"""

import sys
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

TEXT = {"type": "string", "minLength": 1}
REFERENCE = {"type": "object", "required": ["$ref"], "properties": {"$ref": TEXT}}
NAMED = {"type": "object", "minProperties": 1}
SHAPE = {
    "type": "object",
    "required": ["asyncapi", "info", "channels", "operations", "components"],
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {"type": "object", "required": ["title", "version"]},
        "servers": {
            **NAMED,
            "additionalProperties": {"type": "object", "required": ["host", "protocol"]},
        },
        "channels": {
            **NAMED,
            "additionalProperties": {
                "type": "object",
                "required": ["address", "messages"],
                "properties": {
                    "address": {"type": "string", "pattern": "^/"},
                    "messages": {**NAMED, "additionalProperties": REFERENCE},
                },
            },
        },
        "operations": {
            **NAMED,
            "additionalProperties": {
                "type": "object",
                "required": ["action", "channel", "messages"],
                "properties": {
                    "action": {"enum": ["send", "receive"]},
                    "channel": REFERENCE,
                    "messages": {"type": "array", "minItems": 1, "items": REFERENCE},
                },
            },
        },
        "components": {
            "type": "object",
            "required": ["messages"],
            "properties": {
                "messages": {
                    **NAMED,
                    "additionalProperties": {"type": "object", "required": ["payload"]},
                }
            },
        },
    },
}


def faults(document):
    """What is wrong with the document, each with its place; nothing when it is sound."""
    wrong = [
        f"/{'/'.join(map(str, fault.absolute_path))}: {fault.message}"
        for fault in Draft202012Validator(SHAPE).iter_errors(document)
    ]
    wrong += [
        f"{place}: {reference} leads nowhere"
        for place, reference in references(document)
        if find(document, reference) is None
    ]
    return wrong or [*operation_faults(document), *message_faults(document)]


def references(node, place=""):
    """Every `$ref` below the node, with its place."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield place, node["$ref"]
        for key, value in node.items():
            yield from references(value, f"{place}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from references(value, f"{place}/{index}")


def find(document, reference):
    """What a local reference such as `#/components/messages/hello` leads to, or None."""
    node = document if reference.startswith("#/") else None
    for part in reference.removeprefix("#/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, dict) else None
    return node


def operation_faults(document):
    """An operation may only use messages of its own channel."""
    for name, operation in document["operations"].items():
        channel = operation["channel"]["$ref"]
        for message in operation["messages"]:
            if not message["$ref"].startswith(f"{channel}/messages/"):
                yield f"/operations/{name}: {message['$ref']} is not a message of {channel}"


def message_faults(document):
    for name, message in document["components"]["messages"].items():
        place = f"/components/messages/{name}"
        # References inside a payload start at the document.
        schema = {**document, **message["payload"]}
        try:
            Draft202012Validator.check_schema(message["payload"])
        except SchemaError as fault:
            yield f"{place}: {fault.message}"
            continue
        for index, example in enumerate(message.get("examples", [])):
            for fault in Draft202012Validator(schema).iter_errors(example.get("payload")):
                yield f"{place}/examples/{index}: {fault.json_path} {fault.message}"


def main(path):
    found = faults(yaml.safe_load(Path(path).read_text()))
    for fault in found:
        sys.stderr.write(f"{path}: {fault}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
