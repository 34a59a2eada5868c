"""What a description of a deployment gives to each of its services, before anything runs.

`read(path)` takes a compose file, or the JSON of an ECS task definition.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from weelo.lib.deployments import compose, ecs
from weelo.lib.deployments.service import Service, Unreadable

__all__ = ["Service", "Unreadable", "read"]


def read(path: Path, shell: Mapping[str, str]) -> list[Service]:
    """Every service or container of the file; `shell` is what `${…}` is filled in from.

    Raises Unreadable.
    """
    document = _document(path)
    definition = document.get("taskDefinition", document)
    if isinstance(definition, dict) and "containerDefinitions" in definition:
        return ecs.services(definition)
    if "services" in document:
        return compose.services(document, path.parent, shell)
    raise Unreadable("it has neither services (compose) nor containerDefinitions (ECS)")


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as fault:
        raise Unreadable(f"it cannot be read: {fault.strerror}") from fault
    except (ValueError, yaml.YAMLError) as fault:
        raise Unreadable(f"it is neither YAML nor JSON: {fault}") from fault
    if not isinstance(document, dict):
        raise Unreadable("it is no mapping")
    return document
