"""What `make run` shows."""

import os
import threading

import pytest

from weelo.lib.terminal import Terminal, step_line


@pytest.fixture
def pipe():
    outlet, inlet = os.pipe()
    with os.fdopen(outlet) as reader, os.fdopen(inlet, "w") as writer:
        yield reader, writer


@pytest.fixture
def shown(pipe):
    """The terminal, and what was written to it once it is closed."""
    reader, writer = pipe

    def read():
        writer.close()
        return reader.read().splitlines()

    return Terminal(writer), read


def test_a_step_is_one_line_with_its_duration():
    assert step_line("migrate", 0.44, "up to date") == "✓ migrate      0.4 s  up to date"


def test_a_step_that_fails_prints_no_tick(shown):
    terminal, read = shown
    with pytest.raises(LookupError), terminal.step("servers"):
        raise LookupError
    assert read() == []


def test_lines_of_programs_wait_for_the_box_and_then_follow_in_order(shown):
    terminal, read = shown
    terminal.hold_lines()
    terminal.line("loop", "one")
    terminal.say("box")
    terminal.release_lines()
    terminal.line("http", "two")
    assert read() == ["box", "loop     | one", "http     | two"]


def test_a_box_is_as_wide_as_its_longest_line(shown):
    terminal, read = shown
    terminal.box("Ready", [("API", "http://127.0.0.1:8000"), ("", ""), ("stop", "Ctrl-C")])
    lines = [line for line in read() if line]
    assert len({len(line) for line in lines}) == 1
    assert lines[1] == "│ API   http://127.0.0.1:8000 │"


def test_a_terminal_that_was_closed_is_noticed_and_writing_to_it_does_no_harm():
    outlet, inlet = os.pipe()
    with os.fdopen(inlet, "w") as writer:
        terminal = Terminal(writer)
        assert not terminal.is_closed()
        os.close(outlet)
        assert terminal.is_closed()
        terminal.say("nobody hears this")


def test_programs_write_while_the_start_looks_whether_anybody_reads(shown):
    terminal, _ = shown
    faults = []

    def ask():
        try:
            for _ in range(3000):
                terminal.is_closed()
        except RuntimeError as fault:
            faults.append(fault)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
