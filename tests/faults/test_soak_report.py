"""The page of `make soak` shows what was measured, and keeps what was not measured again."""

import json

import pytest

from tests.soak import report
from tests.soak.__main__ import arguments
from tests.soak.figures import at_least, at_most, exactly, percentile, tally, told

DONE = "we counted"


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "KEPT", tmp_path / "reliability.json")
    monkeypatch.setattr(report, "PAGE", tmp_path / "RELIABILITY.md")

    def keep(part, *figures):
        report.keep(report.run_of(part, f"About {part}.", lambda: list(figures)))
        return report.PAGE.read_text()

    return keep


def test_a_part_that_was_not_run_again_keeps_its_figures(page):
    page("storm_of_keys", exactly("orders", DONE, 1, 1))
    page("histories", at_least("histories", DONE, 10, 12))
    text = page("histories", at_least("histories", DONE, 10, 9))
    assert "| orders | we counted | 1 | 1 | ✓ |" in text
    assert "| histories | we counted | ≥ 10 | 9 | ✗ |" in text
    assert text.count("## ") == 2 and "| 12 |" not in text
    assert set(json.loads(report.KEPT.read_text())) == {"storm_of_keys", "histories"}


def test_every_run_says_when_and_on_what(page):
    text = page("histories", told("steps", DONE, "7"))
    assert "| steps | we counted | – | 7 | – |" in text
    for word in ("commit", "cores", "Python", "PostgreSQL", "UTC", "load average"):
        assert word in text


def test_a_figure_knows_whether_its_goal_was_met():
    assert at_most("p50", DONE, 0.4, 0.4, "s").met and not at_most("p50", DONE, 0.4, 0.41, "s").met
    assert exactly("lost", DONE, 0, 0).met and not exactly("lost", DONE, 0, 1).met
    assert at_least("crashes", DONE, 50, 50).met and not at_least("crashes", DONE, 50, 49).met
    assert [percentile(range(1, 101), p) for p in (50, 99, 100)] == [50, 99, 100]
    assert tally([409, 200, 409]) == "1 × 200, 2 × 409"


def test_a_part_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        arguments(["--only", "storm_of_cats"])
    assert "storm_of_cats" in capsys.readouterr().err
