"""Ports for servers under test."""

import random
import socket

# Below those that the kernel gives to clients: a connection of another test must not sit on one
# between its choice and its use.
LISTENING = range(10_000, 32_000)


def two_free_ports():
    """The first of two neighbouring ports that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(LISTENING)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
