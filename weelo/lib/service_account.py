"""The service account with which a program signs in at Google: given as JSON, or as a path."""

import json
from pathlib import Path
from typing import Any

KIND = "service_account"
FIELDS = ("project_id", "client_email", "private_key", "token_uri")


def load(given: str) -> dict[str, Any]:
    """The account. Raises ValueError that says what is wrong, and never shows the key."""
    is_json = given.lstrip().startswith("{")
    where = "the JSON given" if is_json else given
    account = _read(given if is_json else _text(given), where)
    if account.get("type") != KIND:
        raise ValueError(f'{where} is no service account: its "type" is not "{KIND}"')
    if missing := [name for name in FIELDS if not isinstance(account.get(name), str)]:
        raise ValueError(f"{where} is no service account: it lacks {', '.join(missing)}")
    _judge_key(account["private_key"], where)
    return account


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as fault:
        raise ValueError(f"{path} cannot be read: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise ValueError(f"{path} is not JSON") from fault


def _read(text: str, where: str) -> dict[str, Any]:
    try:
        account = json.loads(text)
    except ValueError as fault:
        raise ValueError(f"{where} is not JSON") from fault
    if not isinstance(account, dict):
        raise ValueError(f"{where} is no JSON object")  # noqa: TRY004  (one kind for the caller)
    return account


def _judge_key(key: str, where: str) -> None:
    """Imported here: it takes long, and few processes have an account."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not `from`: the library's words may quote the key.
        raise ValueError(f"{where}: its private_key is no key in PEM") from None
