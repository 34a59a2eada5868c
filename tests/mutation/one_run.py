"""One run of tests in a forked child, on a module whose text is replaced in memory."""

import importlib
import json
import os
import sys
import threading
import traceback
import warnings
from collections import defaultdict
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location

import pytest

OURS = {"weelo", "transporters", "orders", "dispatch", "tests", "manage", "__main__", "conftest"}
PASSED, FAILED, BROKEN = 0, 1, 3
OPTIONS = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist"]
# The libraries are in memory before pytest could rewrite their asserts; they are not under test.
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]


def preload(tests):
    """Import what the tests import of others, so that a child has only our modules to read.

    A forked scout looks it up. What wants Django's settings is left to the children.
    """
    reading, writing = os.pipe()
    if not (scout := os.fork()):
        _say_to(os.devnull)
        pytest.main([*OPTIONS, "--collect-only", *tests])
        os.write(writing, "\n".join(sys.modules).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        names = pipe.read().split()
    os.waitpid(scout, 0)
    for name in names:
        if name.split(".")[0] not in OURS:
            with warnings.catch_warnings(action="ignore"):
                _try_import(name)


def _try_import(name):
    try:
        importlib.import_module(name)
    except Exception as fault:
        return fault
    return None


class Mutated(SourceFileLoader):
    """Serves another text for one module; the file stays as it is."""

    def __init__(self, path, text):
        super().__init__(path.removesuffix(".py").replace("/", "."), path)
        self.text = text

    def find_spec(self, name, path=None, target=None):
        return spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname):
        return compile(self.text, self.path, "exec")


class Chosen:
    """Runs only these tests, in this order, and remembers the first that failed."""

    def __init__(self, names):
        self.place = {name: place for place, name in enumerate(names)}
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        chosen = [item for item in items if item.nodeid in self.place]
        items[:] = sorted(chosen, key=lambda item: self.place[item.nodeid])

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed = self.failed or f"{report.nodeid} (import)"


class Traced:
    """Which lines of our modules each test reaches, and how long it takes."""

    def __init__(self, paths):
        self.paths = {os.path.abspath(path): path for path in paths}
        self.reached = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.here = {"seconds": 0, "lines": defaultdict(set)}
        threading.settrace(self._call)
        sys.settrace(self._call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            lines = {path: sorted(seen) for path, seen in self.here["lines"].items()}
            self.reached[item.nodeid] = self.here | {"lines": lines}

    def pytest_runtest_logreport(self, report):
        self.here["seconds"] += report.duration

    def _call(self, frame, event, argument):
        return self._line if frame.f_code.co_filename in self.paths else None

    def _line(self, frame, event, argument):
        self.here["lines"][self.paths[frame.f_code.co_filename]].add(frame.f_lineno)
        return self._line


def trace(paths, tests, log, result):
    """In the child: run the tests and write `{test: {seconds, lines: {path: [...]}}}`."""
    _leave(log, lambda: _trace(paths, tests, result))


def _trace(paths, tests, result):
    seen = Traced(paths)
    code = pytest.main([*OPTIONS, *tests], plugins=[seen])
    result.write_text(json.dumps(seen.reached))
    return code


def run(path, text, names, log):
    """In the child: run the named tests on the mutated module and leave; 0 passed, 1 failed.

    The name of the first test that failed is the last line of `log`.
    """
    _leave(log, lambda: _run(path, text, names))


def _run(path, text, names):
    sys.meta_path.insert(0, Mutated(path, text))
    seen = Chosen(names)
    files = dict.fromkeys(name.partition("::")[0] for name in names)
    try:
        code = int(pytest.main(["-x", *OPTIONS, *files], plugins=[seen]))
    except Exception:
        traceback.print_exc()
        code, seen.failed = FAILED, "Django does not start"
    os.write(1, f"\n{seen.failed}".encode())
    return {0: PASSED, 1: FAILED, 2: FAILED}.get(code, BROKEN)


def _leave(log, work):
    code = BROKEN
    try:
        os.setsid()
        _say_to(log)
        import django.test.utils

        # The database is ready; pytest-django looks these up when the first test asks for it.
        django.test.utils.setup_databases = lambda *_, **__: []
        django.test.utils.teardown_databases = lambda *_, **__: None
        code = work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _say_to(log):
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
