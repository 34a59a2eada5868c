"""Containers of an ECS task definition."""

from typing import Any

from weelo.lib.deployments.service import Service, Unreadable


def services(definition: dict[str, Any]) -> list[Service]:
    """Raises Unreadable."""
    containers = definition["containerDefinitions"]
    if not isinstance(containers, list) or not all(isinstance(one, dict) for one in containers):
        raise Unreadable("containerDefinitions is no list of containers")
    return [_service(container) for container in containers]


def _service(container: dict[str, Any]) -> Service:
    command = [*_words(container, "entryPoint"), *_words(container, "command")]
    service = Service(
        name=str(container.get("name", "?")),
        image=str(container.get("image", "")),
        command=" ".join(command),
        keeps_secrets=True,
    )
    for entry in container.get("environment") or []:
        _give(service, entry, "value")
    for entry in container.get("secrets") or []:
        _give(service, entry, "valueFrom")
    if container.get("environmentFiles"):
        service.faults.append(
            "environmentFiles cannot be looked into; name the variables in environment and secrets"
        )
    return service


def _words(container: dict[str, Any], name: str) -> list[str]:
    return [str(word) for word in container.get(name) or []]


def _give(service: Service, entry: Any, key: str) -> None:
    """One `{"name", "value"}` or `{"name", "valueFrom"}`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        service.faults.append(f"{entry!r:.60} has no name")
        return
    name, value = entry["name"], entry.get(key)
    if name in service.given or name in service.open:
        service.faults.append(f"{name} is there twice")
    if not isinstance(value, str):
        service.faults.append(f"{name} has no {key} that is a text")
    elif key == "valueFrom" and not value:
        service.faults.append(f"{name} has an empty valueFrom")
    else:
        service.give(name, value if key == "value" else None)
