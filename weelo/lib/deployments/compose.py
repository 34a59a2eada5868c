"""Services of a compose file, as `docker compose` would start them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from weelo.lib.deployments.interpolation import Demanded, fill_in
from weelo.lib.deployments.service import Service, Unreadable

Shell = Mapping[str, str]
NOT_FOLLOWED = "is not followed here; give the output of `docker compose config`"


def services(document: dict[str, Any], folder: Path, shell: Shell) -> list[Service]:
    """Raises Unreadable. Like compose, fills in from `.env` in the folder and from the shell."""
    if "include" in document:
        raise Unreadable(f"include {NOT_FOLLOWED}")
    described = document["services"]
    if not isinstance(described, dict) or not all(isinstance(s, dict) for s in described.values()):
        raise Unreadable("services is no mapping of services")
    known = {**_plain(folder / ".env"), **shell}
    return [_service(str(name), service, folder, known) for name, service in described.items()]


def _service(name: str, described: dict[str, Any], folder: Path, known: Shell) -> Service:
    build = described.get("build")
    context = build.get("context") if isinstance(build, dict) else build
    service = Service(
        name=name,
        image=str(described.get("image", "")),
        command=f"{_words(described.get('entrypoint'))} {_words(described.get('command'))}",
        is_built_here=context is not None and folder.joinpath(str(context)) == folder,
        copies=_copies(described),
    )
    if "extends" in described:
        service.faults.append(f"extends {NOT_FOLLOWED}")
    _env_files(service, described.get("env_file"), folder, known)
    for variable, value in _pairs(service, described.get("environment")):
        _give(service, variable, value, known)
    return service


def _words(command: Any) -> str:
    return " ".join(map(str, command)) if isinstance(command, list) else str(command or "")


def _copies(described: dict[str, Any]) -> int:
    copies = (described.get("deploy") or {}).get("replicas", described.get("scale", 1))
    return copies if isinstance(copies, int) else 1


def _pairs(service: Service, environment: Any) -> list[tuple[str, Any]]:
    """Of a mapping, or of a list of `NAME=value` and `NAME`; None: taken from the shell."""
    if environment is None:
        return []
    if isinstance(environment, dict):
        return [(str(name), value) for name, value in environment.items()]
    if not isinstance(environment, list):
        service.faults.append("environment is neither a mapping nor a list")
        return []
    split = [str(entry).partition("=") for entry in environment]
    return [(name, value if equals else None) for name, equals, value in split]


def _give(service: Service, name: str, value: Any, known: Shell) -> None:
    if value is None:  # taken from the shell as it is, or not given at all
        if name in known:
            service.give(name, known[name])
        return
    if isinstance(value, dict | list):
        service.faults.append(f"{name} is no text")
        return
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        service.give(name, fill_in(text, known))
    except Demanded as demanded:
        service.demanded.add(demanded.name)
        service.give(name, None)
    except ValueError as fault:
        service.faults.append(f"{name} {fault}")


def _env_files(service: Service, given: Any, folder: Path, known: Shell) -> None:
    """Each `path`, or `{path, required}`; a later file counts more."""
    for entry in given if isinstance(given, list) else [given] if given else []:
        options = entry if isinstance(entry, dict) else {"path": entry}
        path = folder / str(options.get("path"))
        if path.is_file():
            for name, value in dotenv_values(path, interpolate=False).items():
                _give(service, name, value, known)
        elif options.get("required", True):
            service.faults.append(f"env_file {options.get('path')} is not there")


def _plain(path: Path) -> dict[str, str]:
    found = dotenv_values(path) if path.is_file() else {}
    return {name: value for name, value in found.items() if value is not None}
