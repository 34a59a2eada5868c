"""Draws the state machines for docs/ARCHITECTURE.md, so that the picture cannot differ.

`python -m orders.diagrams` redraws the page.
"""

import re
from pathlib import Path

from orders.states import OFFER, ORDER, TRIP, TRUCK, Machine

PAGE = Path(__file__).resolve().parent.parent / "docs" / "ARCHITECTURE.md"
MACHINES = (ORDER, TRUCK, TRIP, OFFER)


def diagram(machine: Machine) -> str:
    """A Mermaid `stateDiagram-v2` of one machine, as it stands in Markdown.

    Every machine begins in its first state; the states that nothing leads out of lead to the end.
    """
    first = next(iter(machine.arrows))
    lines = [f"    [*] --> {first}"]
    for here, nexts in machine.arrows.items():
        lines += [f"    {here} --> {there}" for there in machine.arrows if there in nexts]
    lines += [f"    {state} --> [*]" for state in machine.arrows if state in machine.terminal]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def redrawn(page: str) -> str:
    """The page with every diagram between its marks drawn anew. Raises ValueError without marks."""
    for machine in MACHINES:
        begin, end = f"<!-- states: {machine.name} -->", "<!-- end -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        page, count = pattern.subn(f"{begin}\n{diagram(machine)}\n{end}", page)
        if count != 1:
            raise ValueError(f"docs/ARCHITECTURE.md lacks {begin} … {end}")
    return page


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text()))
