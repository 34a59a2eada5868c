"""Reads settings from the environment and remembers what each one is for.

Every fault is collected, so that a start with ten missing variables names ten. What was declared
is kept: `.env.example` and `manage.py env` show it, and judge other environments by it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
N = TypeVar("N", int, float)
TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


class Unusable(ValueError):
    """Why a text is no value of its setting; the text says it without the value of a secret."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one variable, in words for whoever has to put it right."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


@dataclass(frozen=True)
class Variable:
    """One setting: its name, what it means (with unit), its default, and how a text is read.

    `required` is one that production has no default for; `demo` one that production has no use
    for; the default of one that `follows` comes from other settings. `look` examines what can only
    be seen where the process runs, such as a file.
    """

    name: str
    meaning: str
    default: Any
    read: Callable[[str], Any]
    secret: bool = False
    required: bool = False
    demo: bool = False
    follows: bool = False
    example: str = ""
    empty_counts: bool = False
    look: Callable[[Any], object] | None = None

    def value(self, text: str) -> Any:
        """What a text means. Raises Unusable with the reason and an example."""
        try:
            return self.read(text)
        except ValueError as fault:
            shown = "its value" if self.secret else repr(text)
            raise Unusable(f"{shown} {fault}{self.hint()}") from fault

    def is_given(self, text: str | None) -> bool:
        """Whether a text is there at all; an empty one counts for a text and a list only."""
        return text is not None and (text != "" or (self.empty_counts and not self.required))

    def missing(self) -> Fault:
        return Fault(self.name, f"must be set in production{self.hint()}")

    def hint(self) -> str:
        """`; for example PORT=8000`."""
        example = self.example or written(self.default)
        return f"; for example {self.name}={example}" if example else ""


class Environment:
    """Typed access to environment variables; `refuse()` ends the process with every fault.

    `strict` (as in production): what is required there must be given.
    """

    def __init__(self, given: Mapping[str, str], *, strict: bool = False) -> None:
        self.given = given
        self.strict = strict
        self.variables: list[Variable] = []
        self.values: dict[str, Any] = {}  # of those that are in order
        self.faults: list[Fault] = []

    def text(
        self, name: str, default: str, meaning: str, *, one_of: tuple[str, ...] = (), **more: Any
    ) -> str:
        read: Callable[[str], str] = _one_of(one_of) if one_of else str
        return self._declare(name, default, meaning, read, empty_counts=not one_of, **more)

    def number(
        self, name: str, default: float, meaning: str, *, least: float = 0, most: float = 1e9
    ) -> float:
        read = _within(float, "a number", least, most)
        return self._declare(name, default, meaning, read)

    def whole(
        self,
        name: str,
        default: int,
        meaning: str,
        *,
        least: int = 0,
        most: int = 10**9,
        **more: Any,
    ) -> int:
        read = _within(int, "a whole number", least, most)
        return self._declare(name, default, meaning, read, **more)

    def flag(self, name: str, default: bool, meaning: str, **more: Any) -> bool:
        return self._declare(name, default, meaning, _flag, **more)

    def words(self, name: str, default: list[str], meaning: str, **more: Any) -> list[str]:
        """Words with commas between them."""
        return self._declare(name, default, meaning, _words, empty_counts=True, **more)

    def url(
        self, name: str, default: str, meaning: str, schemes: tuple[str, ...], **more: Any
    ) -> str:
        """An address with one of the schemes."""
        return self._declare(name, default, meaning, _url(schemes), **more)

    def json(self, name: str, default: str, meaning: str, **more: Any) -> str:
        """A text that is JSON; it stays a text."""
        return self.parsed(name, default, meaning, _json, **more)

    def parsed(
        self, name: str, default: str, meaning: str, parse: Callable[[str], object], **more: Any
    ) -> str:
        """A text of a form of its own: `parse` raises ValueError for any other."""

        def read(text: str) -> str:
            parse(text)
            return text

        return self._declare(name, default, meaning, read, **more)

    def refuse(self, more: list[Fault]) -> None:
        """End the process with all faults in one message, if there are any."""
        faults = [*self.faults, *more]
        if faults:
            lines = "\n".join(f"  {fault}" for fault in faults)
            raise SystemExit(
                f"The environment is not usable; nothing was started.\n{lines}\n"
                "Every variable is explained in .env.example."
            )

    def _declare(
        self, name: str, default: T, meaning: str, read: Callable[[str], T], **more: Any
    ) -> T:
        variable = Variable(name, meaning, default, read, **more)
        self.variables.append(variable)
        text = self.given.get(name)
        if text is None or not variable.is_given(text):
            if variable.required and self.strict:
                self.faults.append(variable.missing())
                return default
            self.values[name] = default
            return default
        try:
            value: T = variable.value(text)
            if variable.look is not None:
                variable.look(value)
        except ValueError as fault:
            self.faults.append(Fault(name, str(fault)))
            return default
        self.values[name] = value
        return value


def written(value: Any) -> str:
    """A value as it would stand in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    return str(value)


def _within(kind: Callable[[str], N], name: str, least: float, most: float) -> Callable[[str], N]:
    def read(text: str) -> N:
        try:
            value = kind(text)
        except ValueError as fault:
            raise ValueError(f"is not {name}") from fault
        if not least <= value <= most:
            raise ValueError(f"is not from {least:.12g} to {most:.12g}")
        return value

    return read


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is none of {', '.join(allowed)}")
        return text

    return read


def _flag(text: str) -> bool:
    if text.lower() not in (*TRUE, *FALSE):
        raise ValueError("is neither true nor false")
    return text.lower() in TRUE


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as fault:
        raise ValueError("is not JSON") from fault


def _url(schemes: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        try:
            parts = urlsplit(text)
            has_place = bool(parts.path if parts.scheme == "unix" else parts.hostname)
            _ = parts.port  # raises for one that is none
        except ValueError as fault:
            raise ValueError("is no address") from fault
        if parts.scheme not in schemes or not has_place or " " in text:
            raise ValueError(f"is no address that begins with {' or '.join(map(_head, schemes))}")
        return text

    return read


def _head(scheme: str) -> str:
    return f"{scheme}://"
