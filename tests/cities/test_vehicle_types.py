"""GET vehicle-types: the catalogue, cheap to ask for again."""

import pytest
from django.core.cache import cache

from weelo.cities import cached
from weelo.cities.models import VehicleType

pytestmark = pytest.mark.usefixtures("two_cities")
PATH = "/api/v1/vehicle-types"


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


def test_anybody_reads_the_whole_catalogue_in_order(client):
    answer = client.get(PATH)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    page = answer.json()
    assert (page["next"], page["previous"]) == (None, None)
    assert [row["slug"] for row in page["results"]] == list(
        VehicleType.objects.order_by("position").values_list("slug", flat=True)
    )
    assert page["results"][0] == {
        "slug": "mini-pickup-dost",
        "name": "Mini Pickup Dost",
        "category": "mini",
        "capacity_min_kg": 500,
        "capacity_kg": 1500,
    }


def test_an_access_token_that_is_over_does_not_matter(client):
    assert client.get(PATH, headers={"Authorization": "Bearer over"}).status_code == 200


def test_the_same_catalogue_is_not_sent_twice(client):
    first = client.get(PATH)
    assert first["Cache-Control"] == "public, max-age=300"
    again = client.get(PATH, headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert again["ETag"] == first["ETag"]


def test_another_catalogue_has_another_etag(client):
    first = client.get(PATH)
    VehicleType.objects.filter(slug="open-17-ft").update(is_active=False)
    cached._renew()
    again = client.get(PATH, headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 200
    assert again["ETag"] != first["ETag"]
    assert "open-17-ft" not in {row["slug"] for row in again.json()["results"]}


def test_it_is_read_from_the_cache(client, django_assert_num_queries):
    client.get(PATH)
    with django_assert_num_queries(0):
        client.get(PATH)
