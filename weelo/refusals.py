"""Which settings do not go together, and which are refused in production.

Pure: settings.py asks it at every start, and `manage.py env --check` for a deployment that is not
there yet. `values` has only what is known and in order by itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from weelo.lib.addresses import postgres
from weelo.lib.environment import FALSE, Fault

Values = Mapping[str, Any]
SECRET_LENGTH = 50
SECRET_VARIETY = 10  # different characters
# In a secret, a sign that it was copied from an example.
OF_AN_EXAMPLE = re.compile(r"insecure|change.?me|example|secret.?key|password", re.IGNORECASE)
KNOWN_PASSWORDS = {"weelo", "postgres", "password", "secret", "changeme", "change-me", "admin"}
# Folder of the embedded servers' sockets (weelo/lib/embedded/plan.py).
EMBEDDED = re.compile(r"/weelo-\w{8}(/|$)")


def everywhere(values: Values) -> list[Fault]:
    """What cannot work anywhere."""
    if values.get("SMS_BACKEND") == "http" and values.get("SMS_HTTP_URL") == "":
        return [
            Fault(
                "SMS_HTTP_URL",
                "must be set for SMS_BACKEND=http; for example "
                "SMS_HTTP_URL=https://sms.example/send",
            )
        ]
    return []


def in_production(values: Values, given: Mapping[str, str]) -> list[Fault]:
    """What would work and must not; `given` is the whole environment."""
    faults = [fault for rule in RULES for fault in rule(values)]
    faults += [
        Fault(name, f"is set, and {why}; unset it")
        for name, why in FOREIGN.items()
        if given.get(name, "").lower() not in ("", *FALSE)
    ]
    return faults


# What other programs read, and what it would do here.
FOREIGN = {
    "DEBUG": "there is no debug mode in production",
    "FIREBASE_AUTH_EMULATOR_HOST": "firebase-admin would take unsigned tokens of anybody",
    "PYTHONOPTIMIZE": "Python would leave out every assert",
}


def _secret_key(values: Values) -> Iterator[Fault]:
    key = values.get("SECRET_KEY")
    if key is None:
        return
    if len(key) < SECRET_LENGTH:
        yield Fault("SECRET_KEY", f"has {len(key)} characters and needs {SECRET_LENGTH}")
    elif len(set(key)) < SECRET_VARIETY:
        yield Fault("SECRET_KEY", f"has {len(set(key))} different characters: anybody guesses it")
    elif OF_AN_EXAMPLE.search(key):
        yield Fault("SECRET_KEY", "looks like one of an example; make one of your own")


def _database(values: Values) -> Iterator[Fault]:
    parts = postgres(values.get("DATABASE_URL", ""))
    if "password" in parts and parts["password"].lower() in KNOWN_PASSWORDS:
        yield Fault("DATABASE_URL", "has a password that everybody knows")
    if EMBEDDED.search(parts.get("host", "")):
        yield Fault("DATABASE_URL", "is the embedded PostgreSQL, which is for the demo")


def _embedded(values: Values) -> Iterator[Fault]:
    if EMBEDDED.search(values.get("REDIS_URL", "")):
        yield Fault("REDIS_URL", "is the embedded Valkey, which is for the demo")
    for name in ("DATABASE_PORT", "REDIS_PORT"):
        if values.get(name):
            yield Fault(name, "is a port of the embedded servers, which are for the demo; unset it")


def _sms(values: Values) -> Iterator[Fault]:
    if values.get("SMS_BACKEND") in ("console", "file"):
        yield Fault(
            "SMS_BACKEND",
            f"{values['SMS_BACKEND']!r} sends nothing and leaves codes in the open; "
            "for example SMS_BACKEND=http",
        )


def _everybody(values: Values) -> Iterator[Fault]:
    for name in ("ALLOWED_HOSTS", "ALLOWED_ORIGINS"):
        if "*" in values.get(name, []):
            yield Fault(name, "'*' lets everybody in; name the hosts")


RULES: tuple[Callable[[Values], Iterator[Fault]], ...] = (
    _secret_key,
    _database,
    _embedded,
    _sms,
    _everybody,
)
