"""The check of the socket contract finds what it is there to find."""

import copy

import pytest

from tests.contract.asyncapi import faults

SOUND = {
    "asyncapi": "3.0.0",
    "info": {"title": "Weelo", "version": "1"},
    "channels": {
        "captain": {
            "address": "/ws/captain/",
            "messages": {"ping": {"$ref": "#/components/messages/ping"}},
        }
    },
    "operations": {
        "ping": {
            "action": "receive",
            "channel": {"$ref": "#/channels/captain"},
            "messages": [{"$ref": "#/channels/captain/messages/ping"}],
        }
    },
    "components": {
        "schemas": {"ping": {"properties": {"type": {"const": "ping"}}, "required": ["type"]}},
        "messages": {
            "ping": {
                "payload": {"$ref": "#/components/schemas/ping"},
                "examples": [{"payload": {"type": "ping"}}],
            }
        },
    },
}


def test_a_sound_document_passes():
    assert faults(SOUND) == []


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (["asyncapi"], "2.6.0", "3.0.0"),
        (["operations", "ping", "action"], "publish", "publish"),
        (["channels", "captain", "messages", "ping", "$ref"], "#/components/x", "leads nowhere"),
        (["components", "schemas", "ping"], {"required": ["seq"]}, "'seq' is a required property"),
        (["components", "messages", "ping", "payload"], {"type": "frame"}, "'frame'"),
        (["operations", "ping", "messages"], [{"$ref": "#/components/messages/ping"}], "is not a"),
    ],
)
def test_a_fault_is_named_with_its_place(place, value, said):
    document = copy.deepcopy(SOUND)
    node = document
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    assert any(said in fault for fault in faults(document))
