"""A pytest plugin: the run's own PostgreSQL and Valkey, up before Django's settings are read.

Loaded by `-p tests.servers` in pytest.ini. The servers live in a folder in the temporary
directory and lose it at the end. Workers of pytest-xdist join those of the run: pytest-django
gives each a database of its own, this plugin a Redis database number. `python -m tests.servers
manage.py …` runs one command the same way, for checks that need a database.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from weelo.lib import embedded

PREFIX = "weelo-test-"
LEFT_BEHIND_AFTER_S = 60
MADE_HERE = "WEELO_TEST_DATA"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config):
    """A wrapper, since pytest-django reads the settings in the same hook."""
    if MADE_HERE not in os.environ:
        start_servers(early_config.add_cleanup)
    elif worker := re.fullmatch(r"gw(\d+)", os.environ.get("PYTEST_XDIST_WORKER", "")):
        address = os.environ["REDIS_URL"]
        os.environ["REDIS_URL"] = re.sub(r"db=\d+", f"db={int(worker[1]) + 1}", address)
    return (yield)


def start_servers(at_the_end):
    sweep()
    for port in ("DATABASE_PORT", "REDIS_PORT"):
        os.environ.pop(port, None)  # the demo's, when it runs at the same time
    data = Path(tempfile.mkdtemp(prefix=PREFIX))
    servers = embedded.start(data, durable=False)
    at_the_end(lambda: shutil.rmtree(data, ignore_errors=True))
    at_the_end(servers.leave)
    os.environ[MADE_HERE] = str(data)
    os.environ["WEELO_ENV"] = "test"
    os.environ["DATA"] = str(data)
    os.environ["DATABASE_URL"] = servers.addresses.database_url
    os.environ["REDIS_URL"] = servers.addresses.redis_url


def sweep():
    """Removes the folders of runs that were killed; their servers are gone already."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # the run that it belongs to has just ended
            found = left.stat()
            is_old = found.st_mtime < time.time() - LEFT_BEHIND_AFTER_S
            if is_old and found.st_uid == os.geteuid() and embedded.running(left) is None:
                shutil.rmtree(left, ignore_errors=True)


def run(command):
    with ExitStack() as stack:
        start_servers(stack.callback)
        return subprocess.run([sys.executable, *command], check=False).returncode


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
