"""The house keeps its rules, and would notice if it did not."""

import ast
import os
import re
import subprocess
import sys
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import Client

from orders import diagrams, states
from tests import house
from weelo import problem_pages
from weelo.lib import problems
from weelo.settings import env

OURS = ("accounts", "events", "cities", "transporters", "orders", "dispatch")
# What other programs and libraries define; not settings of Weelo.
FOREIGN = {"DJANGO_SETTINGS_MODULE", "NO_COLOR", "FIREBASE_AUTH_EMULATOR_HOST"}
TABLES = {
    "orders_order": states.ORDER,
    "orders_truckrequest": states.TRUCK,
    "orders_trip": states.TRIP,
    "orders_offer": states.OFFER,
}
RULES = (
    house.opens_a_nameless_transaction,
    house.locks_with_the_key,
    house.sets_an_alarm_clock,
    house.hangs_something_nameless_on_a_commit,
    house.logs_a_made_up_message,
    house.is_too_long,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_module(rule):
    assert house.breaches(rule) == []


def test_only_change_writes_the_status_of_an_order_truck_offer_or_trip():
    floors = ("orders/", "dispatch/")  # what lies below knows none of these rows
    allowed = {"orders/change.py", "orders/unwon.py"}  # the latter: by the hundred, held equal
    assert house.breaches(house.writes_a_status, allowed=allowed, floors=floors) == []


@pytest.mark.parametrize(
    ("rule", "planted"),
    [
        (house.writes_a_status, "order.status = 'filled'"),
        (house.writes_a_status, "offer.state, x = 'open', 1"),
        (house.writes_a_status, "Order.objects.filter(id=1).update(status='filled')"),
        (house.writes_a_status, "Trip(status='assigned')"),
        (house.writes_a_status, "order.offers.create(state='open')"),
        (house.writes_a_status, "setattr(trip, 'status', 'failed')"),
        (house.writes_a_status, "Trip.objects.bulk_update(trips, ['status'])"),
        (house.writes_a_status, "trip.save(update_fields=['status'])"),
        (house.writes_a_status, "sql = 'UPDATE orders_trip SET wave = 1, status = %s'"),
        (house.opens_a_nameless_transaction, "with transaction.atomic(): pass"),
        (house.opens_a_nameless_transaction, "@transaction.atomic\ndef verb(): pass"),
        (house.locks_with_the_key, "Order.objects.select_for_update().get()"),
        (house.locks_with_the_key, "Order.objects.select_for_update(no_key=False).get()"),
        (house.sets_an_alarm_clock, "expire.apply_async(countdown=60)"),
        (house.sets_an_alarm_clock, "expire.apply_async(eta=then)"),
        (
            house.hangs_something_nameless_on_a_commit,
            "transaction.on_commit(partial(forget, fleet.id), robust=True)",
        ),
        (house.logs_a_made_up_message, "log.info(f'order {order.id}')"),
        (house.logs_a_made_up_message, "log.warning('order %s' % order.id)"),
        (house.logs_a_made_up_message, "log.warning('order {}'.format(order.id))"),
        (house.is_too_long, "\n" * 400 + "x = 1"),
        (house.is_too_long, "def verb():\n" + "    x = 1\n" * 50),
    ],
)
def test_a_planted_breach_is_found(rule, planted):
    assert list(rule(ast.parse(planted)))


@pytest.mark.parametrize(
    ("rule", "fine"),
    [
        (house.writes_a_status, "change.move(order, OrderStatus.FILLED)\nif order.status: pass"),
        (house.writes_a_status, "Order.objects.filter(status='filled').update(wave=1)"),
        (house.opens_a_nameless_transaction, "with transaction.atomic(durable=True): pass"),
        (house.locks_with_the_key, "Order.objects.select_for_update(no_key=True).get()"),
        (house.sets_an_alarm_clock, "expire.apply_async(expires=60)"),
        (
            house.hangs_something_nameless_on_a_commit,
            "transaction.on_commit(lambda: forget(fleet.id), robust=True)",
        ),
        (house.logs_a_made_up_message, "log.info('order confirmed', order_id=order.id)"),
        (house.is_too_long, "\n" * 399 + "x = 1"),
    ],
)
def test_what_keeps_a_rule_is_left_alone(rule, fine):
    assert list(rule(ast.parse(fine))) == []


# --- settings -------------------------------------------------------------------------------------


def test_every_variable_that_is_read_is_a_setting():
    known = {variable.name for variable in env.variables} | FOREIGN
    read = [
        (path, line, name)
        for path, text in house.modules()
        for line, name in house.environment_reads(ast.parse(text))
    ]
    assert {name for *_, name in read} >= {"DATA", "DJANGO_SETTINGS_MODULE"}, (
        "the search finds what is there"
    )
    assert [f"{path}:{line}: {name}" for path, line, name in read if name not in known] == []


def test_the_example_of_the_environment_names_every_setting_with_its_default(tmp_path):
    bare = {"PATH": os.environ["PATH"], "DATA": str(tmp_path)}
    command = [sys.executable, "manage.py", "env", "--format", "dotenv"]
    written = subprocess.run(
        command, cwd=house.ROOT, env=bare, capture_output=True, text=True, check=True
    ).stdout
    assert (house.ROOT / ".env.example").read_text() == written
    for variable in env.variables:
        assert f"\n#{variable.name}=" in written
        assert variable.meaning in written


def test_the_table_of_settings_shows_no_secret(tmp_path):
    secrets = {
        "SECRET_KEY": "k" * 50,
        "DATABASE_URL": "postgresql://weelo:hush@db:5432/weelo",
        "REDIS_URL": "redis://:hush@cache:6379/0",
    }
    shown = subprocess.run(
        [sys.executable, "manage.py", "env"],
        cwd=house.ROOT,
        env={"PATH": os.environ["PATH"], "DATA": str(tmp_path), "PORT": "9100", **secrets},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not re.search("hush|kkk", shown)
    assert re.search(r"^SECRET_KEY +\(secret\) +environment", shown, re.MULTILINE)
    assert re.search(r"^PORT +9100 +8000 +environment", shown, re.MULTILINE)
    assert re.search(r"^ORDER_TTL +60 +60 +default", shown, re.MULTILINE)


# --- problems -------------------------------------------------------------------------------------


def test_every_problem_has_a_page_with_cause_and_cure(client):
    answered = {
        name: f"{path}:{line}"
        for path, text in house.modules()
        for line, name in house.problem_codes(ast.parse(text))
    }
    answered |= dict.fromkeys(problems._CODES.values(), "weelo/lib/problems.py")
    assert len(answered) > 30, "the search finds what is there"
    for code, where in answered.items():
        page = client.get(f"/api/problems/{code}")
        assert page.status_code == 200, f"{where}: {code} has no page"
    for ways in problem_pages.pages().values():
        for page in ways:
            assert page.title and page.cause and page.cure, page


def test_the_type_of_a_problem_leads_to_its_page(client):
    told = client.get("/api/nothing/here").json()
    page = client.get(told["type"])
    assert page.json()["code"] == told["code"] == "NOT_FOUND"
    assert page.json()["cause"] == "Missing, or not yours: the two look the same."
    listed = client.get("/api/problems/").json()["problems"]
    assert "VEHICLE_BUSY" in [one["code"] for one in listed]
    assert client.get("/api/problems/NO_SUCH_CODE").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/nothing/here", 404),
        ("/api/nothing", 404),
        ("/api/problems/VEHICLE_BUSY", 405),
        ("/api/problems/", 405),
        ("/api/schema/", 405),
        ("/livez", 405),
        ("/readyz", 405),
        ("/metrics", 405),
    ],
)
def test_a_post_to_what_takes_none_is_refused_as_a_problem(path, status):
    answer = Client(enforce_csrf_checks=True).post(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, problems.MEDIA_TYPE)
    assert answer.json()["status"] == status


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
def test_the_documents_are_open_to_who_holds_a_token_of_yesterday(client, path):
    assert client.get(path, headers={"Authorization": "Bearer stale"}).status_code == 200


def test_the_search_for_problem_codes_finds_classes_and_calls():
    planted = "class Odd(Refusal):\n    code = 'ODD'\nproblems.response(request, 'EVEN', 400, 'x')"
    assert {code for _, code in house.problem_codes(ast.parse(planted))} == {"ODD", "EVEN"}


# --- states -----------------------------------------------------------------------------------


def test_the_diagrams_of_the_architecture_are_those_of_the_machines():
    page = diagrams.PAGE.read_text()
    assert page == diagrams.redrawn(page), "run: python -m orders.diagrams"


def test_an_arrow_too_many_is_seen_in_the_diagram():
    page = diagrams.PAGE.read_text().replace("open --> accepted", "open --> given_back", 1)
    assert page != diagrams.redrawn(page)


@pytest.mark.django_db
@pytest.mark.parametrize("table", TABLES)
def test_the_database_allows_the_moves_of_the_machine_and_no_other(table):
    rules = import_module("orders.migrations.0002_rules")
    column, frozen = rules.ARROWS[table]
    machine = TABLES[table]
    assert arrows_of(frozen) == arrows_of(machine.arrows)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = %s AND tgenabled = 'O'",
            [f"{table}_legal_move"],
        )
        ((definition,),) = cursor.fetchall()
    assert f"UPDATE OF {column} ON" in definition
    allowed = {tuple(move.split(">")) for move in re.findall(r"'(\w+>\w+)'", definition)}
    assert allowed == arrows_of(machine.arrows)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "model",
    [model for label in OURS for model in apps.get_app_config(label).get_models()],
    ids=lambda model: model.__name__,
)
def test_every_index_and_constraint_of_a_model_exists_in_the_database(model):
    declared = {rule.name for rule in (*model._meta.constraints, *model._meta.indexes)}
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)
    assert declared <= set(found)


def arrows_of(arrows):
    return {(here, there) for here, nexts in arrows.items() for there in nexts}


# --- the admin ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [model for label in OURS for model in apps.get_app_config(label).get_models()],
    ids=lambda model: model.__name__,
)
def test_every_model_has_a_useful_list_in_the_admin(model):
    assert admin.site.is_registered(model)
    page = admin.site.get_model_admin(model)
    assert page.list_display != ("__str__",)
    assert page.search_fields or page.list_filter
