"""Draws with even chances among what a history has to offer."""

from hypothesis import strategies as st


class Draw:
    """Chooses by Hypothesis, so that a failing history can be shortened choice by choice."""

    def __init__(self, data):
        self._data = data

    def number(self, below):
        """0 or more, less than `below`."""
        # Not `data.draw`, which prints every choice: the story of a history is told in its notes.
        return self._data.conjecture_data.draw(st.integers(0, below - 1)) if below > 1 else 0

    def name_of_history(self):
        """A number that seldom comes twice. (Small ones do: Hypothesis is fond of them.)"""
        return self._data.conjecture_data.draw(st.integers(10**12, 10**12 + 10**9))

    def one_of(self, *options):
        return options[self.number(len(options))]

    def seldom(self):
        return self.number(8) == 7
