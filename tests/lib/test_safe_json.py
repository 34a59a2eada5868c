import json
import time

import pytest
from django.test import RequestFactory
from rest_framework.response import Response
from rest_framework.views import APIView

from weelo.lib.safe_json import BadJson, BodyTooLarge, read_object

LIMIT = 64 * 1024


def nested(depth):
    return ('{"a":' * depth + "1" + "}" * depth).encode()


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (
            b' {"a": [1, -2, 3.5, 1e3, true, null, "x"]} ',
            {"a": [1, -2, 3.5, 1000.0, True, None, "x"]},
        ),
        ('{"name": "आशा 🚚"}'.encode(), {"name": "आशा 🚚"}),
        (rb'{"name": "\u0906\ud83d\ude9a\n"}', {"name": "आ🚚\n"}),
        (b'{"n": 9007199254740991}', {"n": 2**53 - 1}),
        (nested(32), json.loads(nested(32))),
        (b'{"text": "' + b"[{" * 500 + rb"\"[[[" + b'"}', {"text": "[{" * 500 + '"[[['}),
        (b'{"list": [' + b"{}," * 99 + b"{}]}", {"list": [{}] * 100}),
    ],
)
def test_an_honest_object_is_read_as_it_is(raw, value):
    assert read_object(raw, limit=LIMIT) == value
    assert read_object(raw.decode(), limit=LIMIT) == value


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "Expecting value"),
        (b"nonsense", "Expecting value"),
        (b'{"a": 1', "Expecting"),
        (b'{"a": 1} {"b": 2}', "Extra data"),
        (b"{'a': 1}", "double quotes"),
        (b'{"a": 1,}', "line 1"),
        (b"[1]", "not a list"),
        (b'"text"', "not a list"),
        (b"null", "not a list"),
        (b"\xef\xbb\xbf{}", "Expecting value"),
        (b'{"a": "\xff"}', "Byte 7 is not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": "\x00"}', "control character"),
        (rb'{"a": "\u0000"}', "NUL"),
        (rb'{"\u0000": 1}', "NUL"),
        (rb'{"a": {"b": ["\ud800"]}}', "surrogate"),
        (rb'{"a": "\ude9a\ud83d"}', "surrogate"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "beyond reach"),
        (b'{"a": -1e999}', "beyond reach"),
        (b'{"a": 0.' + b"1" * 200 + b"}", "100 digits"),
        (b'{"a": 9007199254740992}', "whole number"),
        (b'{"a": -9007199254740992}', "whole number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "whole number"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"b": {"a": 1, "a": 1}}', "stands twice"),
        (nested(33), "deeper than 32"),
        (b"[" * 30_000, "deeper than 32"),
        (b'{"a":' + b"[" * 30_000, "deeper than 32"),
    ],
)
def test_anything_else_is_refused_with_its_reason(raw, why):
    with pytest.raises(BadJson, match=why) as refusal:
        read_object(raw, limit=LIMIT)
    assert (refusal.value.code, refusal.value.status) == ("BAD_JSON", 400)


def test_a_byte_over_the_limit_is_too_much():
    body = b'{"a": "' + b"x" * (LIMIT - 9) + b'"}'
    assert len(body) == LIMIT
    read_object(body, limit=LIMIT)
    with pytest.raises(BodyTooLarge) as refusal:
        read_object(body + b" ", limit=LIMIT)
    assert (refusal.value.code, refusal.value.status) == ("BODY_TOO_LARGE", 413)


@pytest.mark.parametrize(
    "raw",
    [b'"' + b"\\" * 60_000, b'{"a": "' + b'\\"' * 30_000, b"{" * 60_000, b'"[' * 30_000],
    ids=["backslashes", "escapes", "brackets", "strings"],
)
def test_a_hostile_body_costs_little_time(raw):
    started = time.perf_counter()
    with pytest.raises(BadJson):
        read_object(raw, limit=LIMIT)
    assert time.perf_counter() - started < 0.5


class Echo(APIView):
    authentication_classes = ()
    permission_classes = ()

    def post(self, request):
        return Response(request.data)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b'{"a": NaN}', "application/json", 400, "BAD_JSON"),
        (b"[1]", "application/json; charset=utf-8", 400, "BAD_JSON"),
        (b" " * (LIMIT + 1), "application/json", 413, "BODY_TOO_LARGE"),
        (b"a=1", "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_the_doors_refuse_a_bad_body_as_a_problem(body, kind, status, code):
    request = RequestFactory().generic("POST", "/api/v1/echo", body, content_type=kind)
    answer = Echo.as_view()(request)
    assert (answer.status_code, answer.data["code"]) == (status, code)
