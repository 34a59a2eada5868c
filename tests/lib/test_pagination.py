from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.accounts.doors import sign_in
from tests.people import ASHA
from weelo.accounts.models import Session, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha():
    phone, _ = sign_in(ASHA, "device 0")
    user = User.objects.get(phone=ASHA)
    late = user.sessions.get().expires_at
    for number in range(1, 7):
        Session.objects.create(user=user, device_name=f"device {number}", expires_at=late)
    return phone


def follow(phone, link):
    query = dict(parse_qsl(urlsplit(link).query))
    return phone.get("sessions?" + "&".join(f"{k}={v}" for k, v in query.items())).body


def names(page):
    return [int(row["device_name"].split()[1]) for row in page["results"]]


def test_pages_go_from_the_newest_to_the_oldest_and_back(asha):
    first = asha.get("sessions?limit=3").body
    second = follow(asha, first["next"])
    third = follow(asha, second["next"])

    assert list(first) == ["next", "previous", "results"]
    assert [names(page) for page in (first, second, third)] == [[6, 5, 4], [3, 2, 1], [0]]
    assert (first["previous"], third["next"]) == (None, None)
    assert names(follow(asha, third["previous"])) == [3, 2, 1]


def test_rows_of_the_same_moment_stand_on_one_page_each(asha):
    moment = Session.objects.first().created_at
    Session.objects.update(created_at=moment)

    page, seen = asha.get("sessions?limit=2").body, []
    while True:
        seen += names(page)
        if page["next"] is None:
            break
        page = follow(asha, page["next"])

    assert sorted(seen) == list(range(7))


@pytest.mark.parametrize("cursor", ["", "x", "cD0yMDI2", "eyJhIjoxfQ:abc", "a" * 9000, "%00"])
def test_an_altered_cursor_is_the_callers_fault(asha, cursor):
    answer = asha.get(f"sessions?cursor={cursor}")
    assert (answer.status_code, answer.body["code"]) == (400, "INVALID")
    assert answer.body["errors"][0]["pointer"] == "/cursor"


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x", "", "1e9", "٣", "9" * 500])
def test_a_page_has_1_to_200_rows(asha, limit):
    answer = asha.get(f"sessions?limit={limit}")
    assert (answer.status_code, answer.body["errors"][0]["pointer"]) == (400, "/limit")
