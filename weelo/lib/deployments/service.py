"""One service of a deployment, whatever describes it."""

from dataclasses import dataclass, field


class Unreadable(ValueError):
    """The description cannot be understood; the text says why."""


@dataclass
class Service:
    """A service or container: the variables it gets, and what is left to the deployment.

    `open` are variables whose value comes later: a secret, or one that the deployment demands.
    `demanded` is what the deployment must be given by name; `faults` are of the description itself;
    `copies` are to run. `keeps_secrets`: there is a place for them, apart from the variables.
    """

    name: str
    image: str = ""
    command: str = ""
    is_built_here: bool = False
    given: dict[str, str] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    demanded: set[str] = field(default_factory=set)
    copies: int = 1
    keeps_secrets: bool = False

    def give(self, name: str, value: str | None) -> None:
        """Set a variable, None for a value that is not known yet; the last one counts."""
        self.given.pop(name, None)
        self.open.discard(name)
        if value is None:
            self.open.add(name)
        else:
            self.given[name] = value
