"""The mutants of one source file: mutmut's operators, and every call or refusal left out.

Runs on a Python of its own, where mutmut lives: `python mutants.py orders/pricing.py` writes a
JSON list of `{line, before, after, text, apart}`. `text` is the whole mutated source. `apart` says
why a mutant is counted apart and not run: "log" inside a log call, "sentence" inside the sentence
of a refusal, "annotation" inside a type; "" for all others. mutmut leaves docstrings alone.
"""

import ast
import json
import sys
from difflib import SequenceMatcher
from pathlib import Path

from mutmut import Context, mutate

REFUSALS = {"orders.refusals", "weelo.lib.problems"}


class Nth(Context):
    """Lets mutmut apply its nth mutation only; its own ids repeat where a statement has lines."""

    def __init__(self, source, nth):
        super().__init__(source=source)
        self.left = nth

    def should_mutate(self, node):
        self.left -= 1
        return self.left == 0


def by_mutmut(source):
    nth = 0
    while True:
        nth += 1
        text, performed = mutate(Nth(source, nth))
        if not performed:
            return
        yield text


def by_leaving_out(source, tree):
    """Statements that only call, and refusals: what an operator never touches."""
    for node in ast.walk(tree):
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if isinstance(node, ast.Raise) or (is_call and not is_log(node.value)):
            start, end = span(source, node)
            yield (source.encode()[:start] + b"pass" + source.encode()[end:]).decode()


def span(source, node):
    """Where a node starts and ends in the source, in bytes."""
    lines = source.encode().splitlines(keepends=True)
    start, end = (sum(map(len, lines[: n - 1])) for n in (node.lineno, node.end_lineno))
    return start + node.col_offset, end + node.end_col_offset


def is_log(call):
    """Whether it is `log.info(…)` or the like, or the `_log(…)` of a module."""
    owner = getattr(call.func, "value", call.func)
    return isinstance(owner, ast.Name) and owner.id in ("log", "_log")


def spans_apart(source, tree):
    """What is counted apart: `(start, end, why)`."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    refusals = {name.name for node in imports if node.module in REFUSALS for name in node.names}
    types = list(annotations(tree))
    in_types = {id(part) for node in types for part in ast.walk(node)}
    for node in types:
        yield *span(source, node), "annotation"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_log(node):
            yield *span(source, node), "log"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in refusals and node.args:
            yield *span(source, node.args[0]), "sentence"
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            uses = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
            uses = [n for n in uses if n.id == node.targets[0].id and n is not node.targets[0]]
            if uses and all(id(use) in in_types for use in uses):
                yield *span(source, node), "annotation"


def annotations(tree):
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if getattr(node, name, None) is not None:
                yield getattr(node, name)


def mutants(source):
    tree = ast.parse(source)
    apart = list(spans_apart(source, tree))
    for text in dict.fromkeys([*by_mutmut(source), *by_leaving_out(source, tree)]):
        if is_python(text):
            at = first_difference(source.encode(), text.encode())
            why = next((why for start, end, why in apart if start <= at < end), "")
            changed = shown(source, text)
            lines = lines_run(tree, changed["line"])
            yield {**changed, "lines": lines, "text": text, "apart": why}


def first_difference(old, new):
    """The index of the first byte that differs."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (was, now) in pairs if was != now), min(len(old), len(new)))


def lines_run(tree, line):
    """First and last line of the statement in a function that holds this line.

    Of a statement with a body only its head. The whole function for what stands in its head;
    None outside of functions: such a line is run at import.
    """
    holding = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and head(n)[0] <= line]
    holding = [n for n in holding if line <= n.end_lineno]
    functions = [n for n in holding if isinstance(n, ast.FunctionDef)]
    if not functions:
        return None
    inner = max(holding, key=lambda n: head(n)[0])
    if isinstance(inner, ast.FunctionDef):
        return inner.body[0].lineno, inner.end_lineno
    return head(inner)


def head(node):
    """Where a statement starts and ends, without its body."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    body = getattr(node, "body", None)
    return first, body[0].lineno - 1 if body and body[0].lineno > first else node.end_lineno


def is_python(text):
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def shown(source, text):
    """The first line that differs, before and after; "" where it is gone."""
    lines, others = source.splitlines(), text.splitlines()
    changes = SequenceMatcher(None, lines, others, autojunk=False).get_opcodes()
    _, start, end, other, other_end = next(change for change in changes if change[0] != "equal")
    while start + 1 < end and not lines[start]:
        start += 1
    return {
        "line": start + 1,
        "before": "".join(lines[start:end][:1]).strip(),
        "after": "".join(others[other:other_end][:1]).strip(),
    }


if __name__ == "__main__":
    json.dump(list(mutants(Path(sys.argv[1]).read_text())), sys.stdout)
