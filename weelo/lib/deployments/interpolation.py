"""`${NAME:-default}` in the values of a compose file."""

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WAY = re.compile(r":?[-?+]|$")


class Demanded(Exception):
    """`${NAME:?}`: compose refuses to start without it, so that its value is known only then."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def fill_in(text: str, known: Mapping[str, str]) -> str:
    """The text with every `$NAME` and `${…}` filled in; one that is not known becomes nothing.

    Raises Demanded, and ValueError for what compose does not take.
    """
    parts, rest = [], text
    while "$" in rest:
        before, _, rest = rest.partition("$")
        parts.append(before)
        if rest.startswith("$"):
            filled, rest = "$", rest[1:]
        elif rest.startswith("{"):
            inside, rest = _braces(rest)
            filled = _one(inside, known)
        elif name := _NAME.match(rest):
            filled, rest = known.get(name[0], ""), rest[name.end() :]
        else:
            raise ValueError("has a $ that stands for nothing; write $$ for a dollar sign")
        parts.append(filled)
    return "".join([*parts, rest])


def _braces(text: str) -> tuple[str, str]:
    """What stands in the braces at the beginning, which may hold others, and what follows them."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "{") - (letter == "}")
        if depth == 0:
            return text[1:at], text[at + 1 :]
    raise ValueError("has ${ without its }")


def _one(inside: str, known: Mapping[str, str]) -> str:
    name = _NAME.match(inside)
    way = _WAY.match(inside, name.end()) if name else None
    if name is None or way is None:
        raise ValueError(f"has ${{{inside}}}, which compose does not take")
    value = known.get(name[0])
    is_there = value is not None and (value != "" or not way[0].startswith(":"))
    word = inside[way.end() :]
    if way[0].endswith("+"):
        return fill_in(word, known) if is_there else ""
    if is_there:
        return value or ""
    if way[0].endswith("?"):
        raise Demanded(name[0])
    return fill_in(word, known)
