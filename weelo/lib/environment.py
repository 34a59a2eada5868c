"""Reads settings from the environment and remembers what each one is for.

A thin layer over environs (`eager=False`): every fault is collected, so that a start with ten
missing variables names ten. What was declared is kept for `.env.example` and `manage.py env`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from environs import Env, EnvValidationError, validate

T = TypeVar("T")


@dataclass(frozen=True)
class Variable:
    """One setting: its name, what it means (with unit), its default, whether it is a secret."""

    name: str
    meaning: str
    default: Any
    secret: bool = False


class Environment:
    """Typed access to environment variables; `seal()` tells every fault at once."""

    def __init__(self) -> None:
        self._env = Env(eager=False)
        self.variables: list[Variable] = []

    def text(
        self,
        name: str,
        default: str,
        meaning: str,
        *,
        one_of: tuple[str, ...] = (),
        secret: bool = False,
    ) -> str:
        checks = [validate.OneOf(one_of)] if one_of else []
        return self._read(self._env.str, name, default, meaning, secret, validate=checks)

    def number(
        self, name: str, default: float, meaning: str, *, least: float = 0, most: float = 1e9
    ) -> float:
        checks = [validate.Range(least, most)]
        return self._read(self._env.float, name, default, meaning, validate=checks)

    def whole(
        self, name: str, default: int, meaning: str, *, least: int = 0, most: int = 10**9
    ) -> int:
        checks = [validate.Range(least, most)]
        return self._read(self._env.int, name, default, meaning, validate=checks)

    def flag(self, name: str, default: bool, meaning: str) -> bool:
        return self._read(self._env.bool, name, default, meaning)

    def words(self, name: str, default: list[str], meaning: str) -> list[str]:
        return self._read(self._env.list, name, default, meaning)

    def seal(self, missing: Iterable[str] = ()) -> None:
        """Stop the start (SystemExit), naming every variable that was wrong or is `missing`."""
        faults = []
        try:
            self._env.seal()
        except EnvValidationError as fault:
            messages: Any = fault.error_messages
            faults = [f"  {name}: {'; '.join(why)}" for name, why in messages.items()]
        faults += [f"  {name}: must be set in production" for name in missing]
        if faults:
            raise SystemExit(
                "The environment is not usable; nothing was started.\n"
                + "\n".join(faults)
                + "\nEvery variable is explained in .env.example."
            )

    def _read(
        self,
        reader: Callable[..., T | None],
        name: str,
        default: T,
        meaning: str,
        secret: bool = False,
        **options: Any,
    ) -> T:
        self.variables.append(Variable(name, meaning, default, secret))
        value = reader(name, default, **options)
        return default if value is None else value  # None: a fault, told by seal()
