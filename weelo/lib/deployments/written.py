"""Settings written down: as a table, as `.env.example`, and for compose and ECS."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from weelo.lib.environment import Variable, written

Given = Mapping[str, str]

HEAD = """\
# Every setting of Weelo, with its default. `manage.py env` shows those of an installation.
# Written by `manage.py env --format dotenv`; tests/test_house.py keeps it so.
# A line that is not commented out sets a value.
"""
OF_EACH_SERVICE = "WEELO_PROCESS"
OF_THE_IMAGE = ("LISTEN", "WEELO_COMMIT", "DATA")


def dotenv(variables: Sequence[Variable], _given: Given) -> str:
    """Each variable with its meaning and default, commented out; a secret has no default.

    Some defaults follow from other settings (`PORT`), so that .env.example is written with an
    empty environment.
    """
    parts = [HEAD]
    for variable in variables:
        default = "" if variable.secret else written(variable.default)
        quoted = f"'{default}'" if set(default) & set(' "{}#') else default
        needed = " Production needs it." if variable.required else ""
        parts.append(f"# {variable.meaning}{needed}\n#{variable.name}={quoted}\n")
    return "\n".join(parts)


def table(variables: Sequence[Variable], given: Given) -> str:
    """Name, value, default, source (environment or default) and meaning, in columns."""
    rows = [("NAME", "VALUE", "DEFAULT", "SOURCE", "MEANING")]
    rows += [_row(variable, given) for variable in variables]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    )


def _row(variable: Variable, given: Given) -> tuple[str, str, str, str, str]:
    is_set = variable.name in given
    default = "" if variable.secret else written(variable.default)
    value = given[variable.name] if is_set else default
    if variable.secret:
        value = "(secret)" if is_set or variable.default else ""
    source = "environment" if is_set else "default"
    return variable.name, value, default, source, variable.meaning


def compose(variables: Sequence[Variable], given: Given) -> str:
    """An `environment:` in which the shell or `.env` may set each; compose demands what must be."""
    lines = ["environment:"]
    for variable in _of_production(variables, given):
        lines += [f"  # {variable.meaning}", f"  {variable.name}: {_for_compose(variable, given)}"]
    return "\n".join(
        [*lines, f"  # {OF_EACH_SERVICE}: http, live, loop or worker, in each service"]
    )


def _for_compose(variable: Variable, given: Given) -> str:
    name = variable.name
    if name == "WEELO_ENV":
        return "production"
    if name in given and not variable.secret:
        return json.dumps(given[name].replace("$", "$$"))
    if variable.required:
        return json.dumps(f"${{{name}:?{variable.hint().removeprefix('; ') or 'must be set'}}}")
    default = "" if variable.secret else written(variable.default).replace("$", "$$")
    return json.dumps(f"${{{name}:-{default}}}")


def ecs(variables: Sequence[Variable], given: Given) -> str:
    """`environment` and `secrets` of a container. What must be set and is not, is empty: `--check`
    names it. A secret's `valueFrom` is the name of a parameter; one that is not used is struck."""
    shown = _of_production(variables, given)
    environment = [
        {"name": variable.name, "value": _for_ecs(variable, given)}
        for variable in shown
        if not variable.secret
    ]
    environment.append({"name": OF_EACH_SERVICE, "value": given.get(OF_EACH_SERVICE, "http")})
    secrets = [
        {"name": variable.name, "valueFrom": f"/weelo/{variable.name}"}
        for variable in shown
        if variable.secret
    ]
    return json.dumps({"environment": environment, "secrets": secrets}, indent=2)


def _for_ecs(variable: Variable, given: Given) -> str:
    if variable.name == "WEELO_ENV":
        return "production"
    return given.get(variable.name, "" if variable.required else written(variable.default))


def _of_production(variables: Iterable[Variable], given: Given) -> list[Variable]:
    """Without what each service or the image says, what is for the demo, and, unless it is set
    here, what follows from other settings."""
    apart = (OF_EACH_SERVICE, *OF_THE_IMAGE)
    return [
        variable
        for variable in variables
        if not (variable.demo or variable.name in apart)
        and (not variable.follows or variable.name in given)
    ]


FORMATS: dict[str, Callable[[Sequence[Variable], Given], str]] = {
    "dotenv": dotenv,
    "compose": compose,
    "ecs": ecs,
}
