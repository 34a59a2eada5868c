"""Recorded demand: what is a good row, and that every good one becomes an order."""

import csv
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from dispatch.simulation.demand import BadFile, Places, Reason, Reject, Row, read, timetable
from tests.people import make_city
from tests.running import running
from weelo.cities.cells import cell_of

HEADER = "id,at,city,pickup_lat,pickup_lng,drop_lat,drop_lng"
GOOD = "0x1,29-03-2022 20:30:00,Bengaluru,12.975377,77.696664,13.085377,77.806664"
PLACES = Places(
    city_of_cell={
        cell_of(12.975377, 77.696664): "bengaluru",
        cell_of(26.911378, 75.789034): "jaipur",
    },
    slug_of_name={"bengaluru": "bengaluru", "jaipur": "jaipur"},
)


def judged(*rows, header=HEADER):
    return list(read([f"{line}\n" for line in (header, *rows)], PLACES))


def changed(**fields):
    row = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | fields
    return ",".join(row.values())


def test_a_good_row_is_read_as_it_stands_in_indian_time():
    (row,) = judged(GOOD)
    assert (row.line, row.id, row.city) == (2, "0x1", "bengaluru")
    assert (row.pickup, row.drop) == ((12.975377, 77.696664), (13.085377, 77.806664))
    assert row.at.isoformat() == "2022-03-29T20:30:00+05:30"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"at": "29-03-2022 NaN"}, Reason.NO_TIME),
        ({"at": ""}, Reason.NO_TIME),
        ({"at": "2022-03-29 20:30:00"}, Reason.NO_TIME),
        ({"at": "31-02-2022 20:30:00"}, Reason.NO_TIME),
        ({"pickup_lat": "0", "pickup_lng": "0"}, Reason.NO_POINT),
        ({"drop_lat": "0.0", "drop_lng": "0.0"}, Reason.NO_POINT),
        ({"pickup_lat": "-12.975377", "pickup_lng": "-77.696664"}, Reason.OUTSIDE_INDIA),
        ({"drop_lat": "51.5", "drop_lng": "-0.1"}, Reason.OUTSIDE_INDIA),
        ({"pickup_lat": "nan"}, Reason.BAD_POINT),
        ({"pickup_lat": "1e9"}, Reason.BAD_POINT),
        ({"drop_lng": "inf"}, Reason.BAD_POINT),
        ({"drop_lat": "north"}, Reason.BAD_POINT),
        ({"pickup_lat": "22.0", "pickup_lng": "79.0"}, Reason.OUT_OF_AREA),
        ({"city": "Atlantis"}, Reason.UNKNOWN_CITY),
        ({"city": ""}, Reason.UNKNOWN_CITY),
        ({"city": "Jaipur"}, Reason.OTHER_CITY),
        ({"id": ""}, Reason.BAD_ROW),
        ({"id": "x" * 256}, Reason.BAD_ROW),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason(fields, reason):
    bad, good = judged(changed(**fields), GOOD)
    assert isinstance(bad, Reject)
    assert (bad.line, bad.reason) == (2, reason)
    assert isinstance(good, Row)


def test_a_row_with_too_few_or_too_many_values_is_rejected():
    assert [bad.reason for bad in judged("0x1,29-03-2022", GOOD + ",more")] == [Reason.BAD_ROW] * 2


def test_a_file_without_the_columns_is_refused():
    with pytest.raises(BadFile, match="drop_lat"):
        judged(GOOD, header="id,at,city,pickup_lat,pickup_lng")
    with pytest.raises(BadFile):
        list(read([], PLACES))


@given(st.lists(st.text(alphabet=st.characters(exclude_characters='\r\n"'), max_size=60)))
def test_every_row_is_either_good_or_rejected(rows):
    lines = [row for row in rows if row]
    assert len(judged(*lines)) == len(lines)


def test_time_runs_faster_and_long_gaps_are_cut():
    times = ["29-03-2022 20:30:00", "29-03-2022 20:30:20", "30-03-2022 08:00:00"]
    rows = judged(*[changed(id=str(i), at=times[i]) for i in (2, 0, 1)])
    due = [(seconds, row.id) for seconds, row in timetable(rows, 10)]
    assert due == [(0, "0"), (2, "1"), (8, "2")]
    assert [seconds for seconds, _ in timetable(rows, float("inf"))] == [0, 0, 0]
    gaps = [row.at for _, row in timetable(rows, 1)]
    assert gaps[2] - gaps[1] > timedelta(hours=11)


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    def write(*rows):
        path = tmp_path / "demand.csv"
        path.write_text("\n".join((HEADER, *rows)) + "\n")
        return path

    return write


@pytest.mark.django_db
def test_a_file_of_bad_rows_is_reported_and_makes_no_order(file, capsys):
    make_city()
    path = file(changed(at="NaN"), changed(city="Jaipur", pickup_lat="0", pickup_lng="0"))
    call_command("replay", str(path), vehicle_type="mini-tata-ace")
    with path.with_suffix(".rejects.csv").open(newline="") as rejects:
        rows = list(csv.DictReader(rejects))
    assert [(row["line"], row["reason"]) for row in rows] == [("2", "NO_TIME"), ("3", "NO_POINT")]
    assert rows[0]["row"] == changed(at="NaN")
    assert "rejected      2" in capsys.readouterr().out


@pytest.mark.django_db
def test_a_missing_file_is_told(tmp_path):
    make_city()
    with pytest.raises(CommandError, match="No such file"):
        call_command("replay", str(tmp_path / "none.csv"))


def figures(text):
    lines = [line.split() for line in text.splitlines()]
    return {
        " ".join(words[:-1]): int(words[-1])
        for words in lines
        if words[-1:] and words[-1].isdigit()
    }


def test_every_good_row_becomes_one_order_and_a_second_run_finds_it_again(file):
    rows = [changed(id=f"0x{i}", at=f"29-03-2022 20:{i:02}:00") for i in range(30)]
    rows[3] = changed(at="NaN")
    path = file(*rows)
    with running({"ORDER_TTL": "3"}) as site:
        first = site.manage("replay", path, "--speed", "max", "--api", site.api)
        assert figures(first.stdout) | {
            "rows": 30,
            "good": 29,
            "rejected": 1,
            "NO_TIME": 1,
            "orders made": 29,
            "replayed": 0,
            "refused": 0,
        } == figures(first.stdout)
        second = site.manage("replay", path, "--speed", 1000, "--api", site.api)
        assert figures(second.stdout)["replayed"] == 29
        with site.database() as database:
            keys = database.execute(
                "SELECT idempotency_key, customer_id FROM orders_order"
            ).fetchall()
        assert sorted(key for key, _ in keys) == sorted(f"0x{i}" for i in range(30) if i != 3)
        assert len({customer for _, customer in keys}) == 29

        # The same customers with other rows wait until their orders have run out.
        other = file(*[changed(id=f"0y{i}") for i in range(5)])
        third = site.manage(
            "replay", other, "--captains", 4, "--city", "bengaluru", "--api", site.api
        )
        assert figures(third.stdout)["orders made"] == 5
        assert "fill rate" in third.stdout

        site.stop("http")
        refused = site.manage("replay", path, "--api", site.api, check=False)
        assert refused.returncode == 1
        assert "does not answer" in refused.stderr
