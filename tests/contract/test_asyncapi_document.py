"""docs/asyncapi.yaml says what the code does."""

import re

import pytest

from dispatch.consumers import CaptainConsumer, CustomerConsumer
from tests.contract.asyncapi import faults
from tests.contract.frames import DOCUMENT, document, validate_frame, validators
from weelo.asgi import application
from weelo.events.socket import Code

CONSUMERS = {"captain": CaptainConsumer, "customer": CustomerConsumer}
EVENT = {
    "type": "event",
    "seq": 1,
    "name": "order_completed",
    "at": "2026-11-23T04:00:00.000000Z",
    "order_id": "1f1e3a1c-7a52-4a8e-93c1-5f1f0a4a7c11",
    "order_version": 3,
    "data": {"payable_paise": 100},
}


def test_the_document_is_sound():
    assert faults(document()) == []


def test_every_socket_has_its_channel():
    addresses = {channel["address"] for channel in document()["channels"].values()}
    assert addresses == set(application.paths)


@pytest.mark.parametrize("channel", CONSUMERS)
def test_what_a_client_may_say_is_what_the_consumer_takes(channel):
    consumer = CONSUMERS[channel]
    taken = {"hello", "ack", "ping", *consumer.commands}
    taken |= {"position"} if consumer.takes_positions else set()
    assert set(validators(channel, "receive")) == taken


def test_a_dispatcher_only_begins_and_pings():
    assert set(validators("ops", "receive")) == {"hello", "ping"}


def test_every_close_code_is_explained():
    written = set(re.findall(r"^    \| (\d{4}) \|", DOCUMENT.read_text(), re.MULTILINE))
    codes = {str(code) for name, code in vars(Code).items() if name.isupper()}
    assert written == codes


def test_a_frame_that_fits_passes():
    validate_frame("customer", "send", EVENT)
    validate_frame("captain", "receive", {"type": "hello", "epoch": None, "after": None})


@pytest.mark.parametrize(
    ("channel", "direction", "frame", "said"),
    [
        ("customer", "send", {**EVENT, "seq": 0}, "seq"),
        ("customer", "send", {**EVENT, "data": {}}, "payable_paise"),
        ("customer", "send", {**EVENT, "at": "2026-11-23T04:00:00+00:00"}, "at"),
        ("customer", "send", {**EVENT, "name": "new_broadcast"}, "nothing says"),
        ("captain", "send", EVENT, "nothing says"),
        ("customer", "receive", {"type": "position", "lat": 1, "lng": 2}, "nothing says"),
        ("captain", "receive", {"type": "position", "lat": 1}, "valid under any"),
        ("captain", "send", {"type": "reply", "ref": 1, "status": 200}, "valid under any"),
    ],
)
def test_a_frame_that_does_not_fit_is_named(channel, direction, frame, said):
    with pytest.raises(AssertionError, match=said):
        validate_frame(channel, direction, frame)
