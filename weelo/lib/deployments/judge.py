"""Whether the services of a deployment would start: what is missing, unknown, wrong or unsafe."""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from weelo.lib.deployments.service import Service
from weelo.lib.environment import Fault, Unusable, Variable

ALIKE = 0.8
# What other programs in the image read.
OTHERS = re.compile(
    r"(PATH|HOME|TZ|LANG|LC_\w+|PYTHON\w*|NO_COLOR|MALLOC_\w+|SSL_CERT_\w+|REQUESTS_CA_BUNDLE"
    r"|(HTTPS?|NO|ALL)_PROXY|DJANGO_SETTINGS_MODULE|GUNICORN_CMD_ARGS|GOOGLE_\w+|AWS_\w+|ECS_\w+"
    r"|OTEL_\w+|PG\w+)",
    re.IGNORECASE,
)
OUR_COMMANDS = re.compile(r"manage\.py|gunicorn|-A weelo|--app=weelo")
PASSWORD = re.compile(r"://[^/@]*:[^/@]+@|password=", re.IGNORECASE)

# `rules(values, given, in_production)`: what does not go together.
Rules = Callable[[dict[str, Any], dict[str, str], bool], list[Fault]]


def is_ours(service: Service) -> bool:
    """By its image's name, its command, a build of this folder, or a variable `WEELO_…`."""
    repository = re.split("[:@]", service.image.rsplit("/", 1)[-1])[0]
    names = service.given.keys() | service.open
    return (
        "weelo" in repository
        or service.is_built_here
        or bool(OUR_COMMANDS.search(service.command))
        or any(name.startswith("WEELO_") for name in names)
    )


def faults_of(service: Service, variables: Sequence[Variable], rules: Rules) -> list[str]:
    """Everything that is wrong with one service. Where it does not say which kind of installation
    it is, it is production, as the image has it."""
    production = service.given.get("WEELO_ENV") or "production"
    given = {**service.given, "WEELO_ENV": production}
    values: dict[str, Any] = {}
    found: list[Fault] = []
    for variable in variables:
        text = given.get(variable.name)
        if variable.name in service.open:
            continue
        if text is not None and variable.is_given(text):
            try:
                values[variable.name] = variable.value(text)
            except Unusable as fault:
                found.append(Fault(variable.name, str(fault)))
        elif variable.required and production == "production":
            found.append(variable.missing())
        else:
            values[variable.name] = variable.default
    found += rules(values, given, production == "production")
    found += [*_unknown(given.keys() | service.open, variables), *_copies(service, values)]
    if service.keeps_secrets:
        found += _plain_secrets(given, variables)
    return [*service.faults, *map(str, found)]


def _plain_secrets(given: dict[str, str], variables: Sequence[Variable]) -> list[Fault]:
    """Values that stand in the description, where everybody who may look reads them."""
    why = "is a secret in plain sight; put it into secrets, with valueFrom"
    secrets = [v.name for v in variables if v.secret and _tells_a_secret(given.get(v.name, ""))]
    return [Fault(name, why) for name in secrets]


def _tells_a_secret(text: str) -> bool:
    is_address, is_path = "://" in text or "host=" in text, text.startswith("/")
    return bool(PASSWORD.search(text)) if is_address else bool(text) and not is_path


def _unknown(names: Iterable[str], variables: Sequence[Variable]) -> list[Fault]:
    known = [variable.name for variable in variables]
    found = []
    for name in sorted(set(names) - set(known)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)
        if near:
            found.append(Fault(name, f"is no setting; did you mean {near[0]}?"))
        elif not OTHERS.fullmatch(name):
            found.append(Fault(name, "is no setting"))
    return found


def _copies(service: Service, values: dict[str, Any]) -> list[Fault]:
    """More copies than are counted in the sum of connections."""
    name = f"{str(values.get('WEELO_PROCESS', '')).upper()}_COPIES"
    counted = values.get(name, service.copies)
    if service.copies <= counted:
        return []
    return [Fault(name, f"is {counted}, and {service.copies} copies are to run")]
