"""What goes over the sockets, for people: docs/asyncapi.yaml as a page, and as it is."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join

from weelo.lib.problems import only_read

DOCUMENT = settings.BASE_DIR / "docs" / "asyncapi.yaml"
SENDS, HEARS = "send", "receive"


@dataclass(frozen=True)
class Field:
    """One field of a message, nested ones as `trucks[].vehicle_type`."""

    name: str
    kind: str
    is_required: bool
    description: str


@dataclass(frozen=True)
class Message:
    """One frame: what it is for, its fields and examples as JSON."""

    name: str
    title: str
    description: str
    fields: tuple[Field, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Channel:
    """One socket: who it is for, and what each side says."""

    name: str
    address: str
    title: str
    description: str
    heard: tuple[Message, ...]
    said: tuple[Message, ...]


@only_read
def show(request: HttpRequest) -> HttpResponse:
    """GET /api/realtime/"""
    info = _document()["info"]
    context = {
        "title": info["title"],
        "version": info["version"],
        "blocks": _blocks(info["description"]),
        "channels": channels(),
        "url": settings.SOCKET_URL,
    }
    return render(request, "realtime.html", context)


@only_read
def raw(_request: HttpRequest) -> HttpResponse:
    """GET /api/realtime/asyncapi.yaml, for generators of clients."""
    return HttpResponse(DOCUMENT.read_bytes(), content_type="application/yaml")


@cache
def channels() -> tuple[Channel, ...]:
    """The document's channels, with the messages of each direction in its order."""
    return tuple(
        Channel(
            name,
            channel["address"],
            channel["title"],
            _inline(channel["description"]),
            heard=_messages(name, HEARS),
            said=_messages(name, SENDS),
        )
        for name, channel in _document()["channels"].items()
    )


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text())
    return document


def _blocks(text: str) -> list[dict[str, Any]]:
    """The description's paragraphs, and its tables as rows of cells."""
    found: list[dict[str, Any]] = []
    for block in text.strip().split("\n\n"):
        if block.startswith("|"):
            head, _, *rows = (row.strip("| ").split(" | ") for row in block.split("\n"))
            found.append({"head": head, "rows": [[*map(_inline, row)] for row in rows]})
        else:
            lead, mark, rest = block.removeprefix("**").partition("**")
            found.append({"lead": lead if mark else "", "text": _inline(rest if mark else block)})
    return found


def _inline(text: str) -> str:
    """Text with what stands between backticks as code."""
    parts = (
        (format_html("<code>{}</code>", part) if i % 2 else part,)
        for i, part in enumerate(text.split("`"))
    )
    return format_html_join("", "{}", parts)


def _messages(channel: str, action: str) -> tuple[Message, ...]:
    place = f"#/channels/{channel}"
    references = (
        reference["$ref"]
        for operation in _document()["operations"].values()
        if operation["channel"]["$ref"] == place and operation["action"] == action
        for reference in operation["messages"]
    )
    return tuple(_message(reference) for reference in dict.fromkeys(references))


def _message(reference: str) -> Message:
    message = _resolved({"$ref": reference})
    return Message(
        name=reference.rpartition("/")[2],
        title=message.get("title", ""),
        description=_inline(message.get("description", "")),
        fields=tuple(_fields(message["payload"])),
        examples=tuple(
            json.dumps(one["payload"], indent=2, ensure_ascii=False)
            for one in message.get("examples", ())
        ),
    )


def _fields(schema: dict[str, Any], before: str = "", depth: int = 0) -> list[Field]:
    """The properties of a schema, and of what it is put together from, flat and in order."""
    schema = _resolved(schema)
    found: list[Field] = []
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        found += _fields(part, before, depth)
    required = schema.get("required", ())
    for name, given in schema.get("properties", {}).items():
        value = _resolved(given)
        description = given.get("description") or value.get("description", "")
        found.append(Field(before + name, _kind(value), name in required, _inline(description)))
        inner = _resolved(value.get("items", {})) if "items" in value else value
        mark = "[]." if "items" in value else "."
        if depth < 3:
            found += _fields(inner, f"{before}{name}{mark}", depth + 1)
    return list({field.name: field for field in reversed(found)}.values())[::-1]


def _kind(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return f"“{schema['const']}”"
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    kinds = schema.get("type", "")
    if not kinds:
        parts = (*schema.get("oneOf", ()), *schema.get("anyOf", ()))
        kinds = list(dict.fromkeys(_kind(_resolved(part)) for part in parts))
    kind = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        found: Any = _document()
        for word in schema["$ref"].removeprefix("#/").split("/"):
            found = found[word]
        schema = found
    return schema
