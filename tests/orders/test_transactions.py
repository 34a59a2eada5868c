"""A verb owns its transaction: nobody may wrap one in a larger one, which could undo it."""

import importlib
import inspect
import pkgutil

import pytest
from django.db import transaction

from orders import verbs
from orders.verbs import (
    accept,
    cancel,
    confirm,
    decline,
    drive,
    expire,
    fail,
    flag,
    give_back,
    new_code,
    rate,
    settle,
    steps,
    tell,
    withdraw,
)
from weelo.lib import retries

VERBS = [
    accept._accept,
    cancel.cancel,
    confirm._write,
    decline.decline,
    drive.set_driver,
    expire._expire_together,
    expire.expire,
    fail.fail,
    flag._flag,
    give_back.give_back,
    new_code.new_code,
    rate.dispute,
    rate.rate,
    settle.settle,
    steps._step,
    steps.check_stop,
    tell.tell,
    withdraw.reinstate,
    withdraw.withdraw,
]


@pytest.mark.django_db
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_a_verb_refuses_to_run_inside_a_transaction(verb):
    wanted = {
        name: None
        for name, parameter in inspect.signature(verb).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    with transaction.atomic(savepoint=True), pytest.raises(RuntimeError, match="durable"):
        verb(**wanted)


def is_verb(thing):
    return getattr(thing, "__code__", None) is retries.verb(lambda: None).__code__


def test_no_verb_is_forgotten_here():
    found = {
        thing
        for module in pkgutil.iter_modules(verbs.__path__)
        for thing in vars(importlib.import_module(f"orders.verbs.{module.name}")).values()
        if is_verb(thing) and thing.__module__.startswith("orders.verbs.")
    }
    assert found == set(VERBS)
