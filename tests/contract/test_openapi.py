"""The OpenAPI document says what the doors do, where a fuzz once found that it did not."""

import re

import pytest
from drf_spectacular.generators import SchemaGenerator
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.serializers import ValidationError

from orders.serializers import ConfirmSerializer, TripsQuery
from tests.people import wish
from transporters.serializers import VehicleSerializer
from weelo.lib.bodies import NOT_BLANK


@pytest.fixture(scope="module")
def document():
    return SchemaGenerator().get_schema(request=None, public=True)


def schema_of(document, name):
    return document["components"]["schemas"][name]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "vehicles"),
        ("post", "vehicles"),
        ("delete", "drivers/{driver_id}"),
        ("put", "availability"),
        ("post", "positions"),
        ("get", "orders/{order_id}/waves"),
    ],
)
def test_a_door_for_one_role_documents_what_the_others_get(document, method, path):
    assert "403" in document["paths"][f"/api/v1/{path}"][method]["responses"]


def test_a_door_for_everybody_documents_no_403(document):
    assert "403" not in document["paths"]["/api/v1/orders"]["get"]["responses"]


def test_what_must_be_said_in_a_body_is_neither_empty_nor_blank(document):
    fields = {
        f"{name}.{field}": schema
        for name, body in document["components"]["schemas"].items()
        if name.endswith("Request")
        for field, schema in body.get("properties", {}).items()
    }
    assert fields["RefreshInRequest.refresh"]["pattern"] == NOT_BLANK
    ids = [name for name, schema in fields.items() if schema.get("format") == "uuid"]
    texts = [name for name, schema in fields.items() if schema.get("minLength")]
    assert len(ids) >= 2 and len(texts) >= 10
    assert all(fields[name]["minLength"] == 32 for name in ids)
    assert all("pattern" in fields[name] for name in set(texts) - set(ids))


@given(st.text(max_size=5))
def test_blank_is_what_the_door_strips(text):
    assert bool(re.search(NOT_BLANK, text)) == bool(text.strip())


@pytest.mark.parametrize("name", ["PapersChangeRequest", "LicenceChangeRequest"])
def test_what_is_renewed_in_part_says_so(document, name):
    assert "required" not in schema_of(document, name)
    assert schema_of(document, name.replace("Change", ""))["required"]


def test_an_order_has_1_to_50_lines_of_trucks_and_at_most_2_stops(document):
    lists = schema_of(document, "ConfirmRequest")["properties"]
    assert (lists["trucks"]["minItems"], lists["trucks"]["maxItems"]) == (1, 50)
    assert lists["stops"]["maxItems"] == 2


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"trucks": []}, "trucks"),
        ({"stops": [wish()["pickup"]] * 3}, "stops"),
        ({"trucks": [{"vehicle_type": "open-17-ft", "quantity": 0}]}, "trucks"),
    ],
)
def test_lists_that_are_too_short_or_long_are_refused(fields, pointer):
    body = ConfirmSerializer(data={**wish(), **fields})
    assert not body.is_valid()
    assert set(body.errors) == {pointer}


@pytest.mark.parametrize("written", ["KA01AB1234", "ka 01 ab 1234", "KA-01.AB-1234"])
def test_a_number_as_people_write_it_fits_the_documents_pattern(document, written):
    told = schema_of(document, "VehicleRequest")["properties"]["registration"]
    assert re.search(told["pattern"], written)
    field = VehicleSerializer().fields["registration"]
    assert field.run_validation(written) == "KA01AB1234"
    assert not re.search(told["pattern"], "KA01 ✓")


@pytest.mark.parametrize(("live", "is_sound"), [("true", True), ("false", True), ("soon", False)])
def test_live_is_yes_or_no(live, is_sound):
    assert TripsQuery(data={"live": live}).is_valid() == is_sound


def test_a_number_longer_than_documented_is_refused_though_most_of_it_is_dots():
    field = VehicleSerializer().fields["registration"]
    assert field.run_validation("KA01AB1234".ljust(40, ".")) == "KA01AB1234"
    with pytest.raises(ValidationError, match="40 characters"):
        field.run_validation("KA01AB1234".ljust(41, "."))
