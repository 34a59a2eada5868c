"""The rules of the house that can be read off the source: each finds what breaks it.

A rule takes a module's tree and yields `(line, what)`; tests/test_house.py holds every module to
every rule, and every rule to a planted breach.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("weelo", "transporters", "orders", "dispatch")
LONGEST_MODULE, LONGEST_FUNCTION = 400, 50
STATUSES = {"status", "state"}
ORDER_ROWS = {"Order", "TruckRequest", "Offer", "Trip"}
SQL_WRITES_A_STATUS = re.compile(
    r"UPDATE\s+orders_\w+\s+SET\b[^;]*?\b(status|state)\s*=", re.IGNORECASE
)
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def modules(*, migrations=False):
    """Every module of the product: its path from the root, and its text."""
    files = [ROOT / "manage.py", ROOT / "gunicorn.conf.py"]
    files += [file for floor in FLOORS for file in sorted((ROOT / floor).rglob("*.py"))]
    for file in files:
        if migrations or "migrations" not in file.parts:
            yield str(file.relative_to(ROOT)), file.read_text()


def breaches(rule, *, allowed=(), floors=("",)):
    """What breaks a rule on these floors, as `path:line: what`, but in modules that may."""
    return [
        f"{path}:{line}: {what}"
        for path, text in modules()
        if path not in allowed and path.startswith(floors)
        for line, what in rule(ast.parse(text))
    ]


# --- small words for trees ------------------------------------------------------------------------


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def name_of(call):
    """The last word of what is called: `atomic` of `transaction.atomic(…)`."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def keywords(call):
    return {keyword.arg: keyword.value for keyword in call.keywords}


def strings(node):
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) is str]


# --- rules ----------------------------------------------------------------------------------------


def writes_a_status(tree):
    """Assigns `.status` or `.state`, or writes one through a queryset, setattr, create or save."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in (t for whole in targets for t in ast.walk(whole)):
                if isinstance(target, ast.Attribute) and target.attr in STATUSES:
                    yield node.lineno, f"assigns .{target.attr}"
    for call in calls(tree):
        name, given = name_of(call), STATUSES & set(keywords(call))
        if given and name in {"update", "create", "get_or_create", "update_or_create", *ORDER_ROWS}:
            yield call.lineno, f"{name}() writes {given.pop()}"
        if name in {"setattr", "bulk_update"} and any(
            STATUSES & set(strings(a)) for a in call.args
        ):
            yield call.lineno, f"{name}() writes a status"
        if name in {"save", "bulk_update"} and STATUSES & {
            text for value in keywords(call).values() for text in strings(value)
        }:
            yield call.lineno, f"{name}() writes a status"
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and SQL_WRITES_A_STATUS.search(str(node.value)):
            yield node.lineno, "SQL writes a status"


def opens_a_nameless_transaction(tree):
    """`atomic` without `durable` or `savepoint`: does it own the transaction, or join one?"""
    told = set()
    for call in calls(tree):
        if name_of(call) == "atomic":
            told.add(id(call.func))
            if not {"durable", "savepoint"} & set(keywords(call)):
                yield call.lineno, "atomic() says neither durable nor savepoint"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "atomic" and id(node) not in told:
            yield node.lineno, "atomic without a call says neither durable nor savepoint"


def locks_with_the_key(tree):
    """`select_for_update` without `no_key=True` blocks inserts that refer to the row."""
    for call in calls(tree):
        if name_of(call) == "select_for_update":
            no_key = keywords(call).get("no_key")
            if not (isinstance(no_key, ast.Constant) and no_key.value is True):
                yield call.lineno, "select_for_update() without no_key=True"


def sets_an_alarm_clock(tree):
    """A task with `eta` or `countdown`: timers are columns."""
    for call in calls(tree):
        for name in {"eta", "countdown"} & set(keywords(call)):
            yield call.lineno, f"{name}= in {name_of(call)}()"


def hangs_something_nameless_on_a_commit(tree):
    """`on_commit(partial(…), robust=True)`: when it fails Django asks for its name to log it, which
    a partial has not, and the caller of what was committed gets a 500."""
    for call in calls(tree):
        is_robust = name_of(call) == "on_commit" and "robust" in keywords(call)
        if is_robust and isinstance(call.args[0], ast.Call):
            yield call.lineno, "on_commit(…, robust=True) of what a call returns"


def logs_a_made_up_message(tree):
    """A log call whose message is put together: what varies belongs in fields."""
    for call in calls(tree):
        logger = getattr(getattr(call.func, "value", None), "id", "")
        if name_of(call) in LEVELS and logger in {"log", "logger", "logging"}:
            for argument in call.args:
                if isinstance(argument, ast.JoinedStr | ast.BinOp | ast.Call):
                    yield call.lineno, "a log message is put together"


def is_too_long(tree):
    """A module of over 400 lines is two; a function of over 50 too."""
    last = max(
        (node.end_lineno for node in ast.walk(tree) if hasattr(node, "end_lineno")), default=0
    )
    if last > LONGEST_MODULE:
        yield last, f"a module of {last} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield node.lineno, f"{node.name}() of {length} lines"


def environment_reads(tree):
    """The names read from the environment past weelo/settings.py, with their lines."""
    for node in ast.walk(tree):
        where = names = None
        if isinstance(node, ast.Subscript):
            where, names = node.value, [node.slice]
        elif isinstance(node, ast.Call) and name_of(node) in {"get", "getenv", "setdefault"}:
            where = getattr(node.func, "value", None) if name_of(node) != "getenv" else "os"
            names = node.args[:1]
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            where, names = node.comparators[0], [node.left]
        if where == "os" or getattr(where, "attr", "") == "environ":
            for name in names:
                if isinstance(name, ast.Constant):
                    yield node.lineno, name.value


def problem_codes(tree):
    """The codes of problems that a module can answer: classes' `code`, and calls that name one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                named = isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "")
                if named in {"code", "problem_code"} and isinstance(line.value, ast.Constant):
                    yield line.lineno, line.value.value
        if isinstance(node, ast.Call) and name_of(node) in {"problem", "response"}:
            for argument in node.args[:2]:
                if isinstance(argument, ast.Constant) and str(argument.value).isupper():
                    yield node.lineno, argument.value
