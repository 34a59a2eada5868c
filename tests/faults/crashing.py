"""Kills a process at a named line of the product, which knows nothing of it.

`install` (called by crash_hook/sitecustomize.py in the processes of the test's site) compiles the
modules of the crash points with a call before each of the named lines, and without a cache on
disk. The call does nothing but look for the file that arms one point; there, the first process
to reach it takes the file away, leaves its number, and sends itself SIGKILL.
"""

import ast
import json
import os
import signal
import sys
import time
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path

from tests.faults.crash_points import ALL

FOLDER = "CRASH_FOLDER"
ROOT = Path(__file__).resolve().parents[2]
DIES_WITHIN_S = 20


def environment(folder):
    """What the processes of a site need to be killed by the files in this folder."""
    hook = Path(__file__).with_name("crash_hook")
    return {"PYTHONPATH": f"{hook}{os.pathsep}{ROOT}", FOLDER: str(folder)}


class Crash:
    """The test's hand on the points: arm one, and wait until a process died there."""

    def __init__(self, folder):
        self.armed, self.died = folder / "armed", folder / "died"

    def arm(self, point):
        self.died.unlink(missing_ok=True)
        draft = self.armed.with_suffix(".new")
        draft.write_text(json.dumps({"place": point.place, "under": point.under}))
        draft.replace(self.armed)

    def wait(self):
        """Until a process died at the armed point; when it did, on the monotonic clock."""
        deadline = time.monotonic() + DIES_WITHIN_S
        while not self.died.exists() or _is_alive(int(self.died.read_text() or 0)):
            assert time.monotonic() < deadline, "no process came to the line that is armed"
            time.sleep(0.005)
        return time.monotonic()

    def is_over(self):
        """Whether nothing was left armed; from now on nothing is."""
        try:
            self.armed.unlink()
        except FileNotFoundError:
            return True
        return False


def _is_alive(pid):
    try:
        return not pid or Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- in the processes of the site -----------------------------------------------------------------


def install():
    """Have the modules of the points loaded with the calls in them."""
    sys.meta_path.insert(0, Finder)


class Finder(PathFinder):
    """Finds the modules that have points, for Loader."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if all(point.module != fullname for point in ALL):
            return None
        spec = super().find_spec(fullname, path, target)
        spec.loader = Loader(fullname, spec.origin)
        return spec


class Loader(SourceFileLoader):
    """Loads a module with a call of `reach` before each line that is a point."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        source = self.get_data(path).decode()
        return compile(with_calls(source, {p for p in ALL if p.module == fullname}), path, "exec")

    def exec_module(self, module):
        module.__dict__["__reach__"] = reach
        super().exec_module(module)


def with_calls(source, points):
    """The tree of a module with the calls in it. Raises LookupError for a point that is not there
    exactly once."""
    tree = ast.parse(source)
    places = {point.place: statement(tree, source, point) for point in points}
    for place, (block, line) in places.items():
        (call,) = ast.parse(f"__reach__({place!r})").body
        for node in ast.walk(call):
            ast.copy_location(node, line)
        block.insert(block.index(line), call)
    return tree


def statement(tree, source, point):
    """The block in which the point's line stands, and the line's statement."""
    lines, scope = source.splitlines(), tree
    for name in point.function.split("."):
        scope = next((node for node in scope.body if getattr(node, "name", "") == name), None)
        if scope is None:
            raise LookupError(f"{point.module} has no {point.function}")
    found = [
        (block, line)
        for node in ast.walk(scope)
        for name in ("body", "orelse", "finalbody")
        for block in [getattr(node, name, [])]
        for line in (block if isinstance(block, list) else [])
        if lines[line.lineno - 1].strip().startswith(point.line)
    ]
    if len(found) != 1:
        raise LookupError(f"{point.module}.{point.function} has {len(found)} × {point.line}")
    return found[0]


def reach(place):
    """Die here, if this place is armed and its verb is at work."""
    crash = Crash(Path(os.environ[FOLDER]))
    try:
        armed = json.loads(crash.armed.read_text())
        if armed["place"] != place or not is_under(armed["under"]):
            return
        crash.armed.rename(crash.armed.with_suffix(".taken"))
    except FileNotFoundError:  # nothing is armed, or another process was first
        return
    crash.died.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def is_under(verb):
    """Whether the innermost transaction on the stack is that of the verb."""
    frame = sys._getframe()
    while verb and frame is not None:
        if (frame.f_globals["__name__"], frame.f_code.co_name) == ("weelo.lib.retries", "run"):
            return frame.f_locals["function"].__module__ == f"orders.verbs.{verb}"
        frame = frame.f_back
    return not verb
