"""Celery: the net below the loop looks in time, keeps nothing, and never blocks for ever."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings

from dispatch import tasks
from dispatch.models import Heartbeat, Reconciliation
from orders.states import OrderStatus
from tests.dispatch.drive import shift
from tests.people import make_city, make_customer, make_order
from weelo.celery import app


def test_reconciliation_and_sweep_are_due_as_often_as_the_settings_say():
    schedule = app.conf.beat_schedule
    assert schedule["reconcile"]["schedule"] == settings.RECONCILE_EVERY == 120
    assert schedule["sweep"]["schedule"] == settings.SWEEP_EVERY


@pytest.mark.parametrize("name", ["reconcile", "sweep"])
def test_a_task_says_look_now_and_expires_with_its_period(name):
    entry = app.conf.beat_schedule[name]
    task = app.tasks[entry["task"]]
    assert task.ignore_result
    assert task.expires == entry["options"]["expires"] == entry["schedule"]
    assert set(entry["options"]) == {"expires"}


def test_the_broker_is_never_waited_for_without_end():
    options = app.conf.broker_transport_options
    assert 0 < options["socket_timeout"] <= 5
    assert 0 < options["socket_connect_timeout"] <= 2
    assert timedelta(seconds=options["visibility_timeout"]) <= timedelta(minutes=1)


@pytest.mark.parametrize(
    ("redis", "broker"),
    [
        ("unix:///run/valkey.sock?db=7", "redis+socket:///run/valkey.sock?virtual_host=7"),
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock?virtual_host=0"),
        ("redis://cache:6379/7", "redis://cache:6379/7"),
    ],
)
def test_tasks_wait_in_the_redis_database_that_the_address_names(redis, broker):
    told = subprocess.run(
        [sys.executable, "-c", "from weelo import settings; print(settings.CELERY_BROKER_URL)"],
        env={**os.environ, "REDIS_URL": redis},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == broker


@pytest.mark.django_db
@pytest.mark.usefixtures("presence_empty")
def test_the_sweep_expires_what_no_loop_did_and_shows_that_beat_lives():
    make_city()
    order = make_order(make_customer())
    shift(order, 61)
    tasks.sweep()
    order.refresh_from_db()
    assert order.status == OrderStatus.EXPIRED
    assert Heartbeat.objects.filter(name="beat").exists()


@pytest.mark.django_db
def test_the_task_reconciles():
    tasks.reconcile()
    assert Reconciliation.objects.get().trigger == "beat"
    assert Heartbeat.objects.filter(name="beat").exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("presence_empty")
def test_a_task_that_comes_five_times_does_its_work_once():
    make_city()
    order = make_order(make_customer())
    shift(order, 61)
    for _ in range(5):
        tasks.sweep()
        tasks.reconcile()
    order.refresh_from_db()
    assert order.facts.filter(to_status="expired").count() == 2  # the truck and the order
    assert all(run.repairs == [] for run in Reconciliation.objects.all())
