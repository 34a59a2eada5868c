import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import transaction
from django.db.models.functions import Now

from tests.accounts.doors import at_once
from tests.people import ASHA
from weelo.accounts import sms, sms_backends
from weelo.accounts.models import SmsMessage
from weelo.lib.breaker import Breaker
from weelo.lib.retries import retry_after

MINUTE = timedelta(minutes=1)
TEXT = '123456 is your "Weelo" code.\nTell it to nobody.'


def queue(to=ASHA, template="otp", text=TEXT, code="123456", ttl=MINUTE):
    with transaction.atomic(durable=True):
        return sms.queue(to, template, text, code=code, ttl=ttl)


@pytest.fixture
def outbox(settings, tmp_path):
    """What the file backend has sent, as a list."""
    settings.SMS_BACKEND, settings.DATA = "file", tmp_path

    def sent():
        lines = (tmp_path / "sms.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    return sent


class Gateway(BaseHTTPRequestHandler):
    """An SMS gateway of our own that answers what the test wants."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers["Authorization"], json.loads(body)))
        status, headers = self.server.answers.pop(0) if self.server.answers else (200, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def gateway(settings, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        server.got, server.answers = [], []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        settings.SMS_BACKEND = "http"
        settings.SMS_HTTP_URL = f"http://127.0.0.1:{server.server_port}/send"
        settings.SMS_HTTP_TOKEN = "gateway-token"
        fresh = Breaker("sms", failures=5, window_s=30, open_s=60)
        monkeypatch.setattr(sms_backends, "breaker", fresh)
        yield server
        server.shutdown()
        thread.join()


def make_due():
    SmsMessage.objects.update(next_try_at=Now())


@pytest.mark.django_db
def test_the_file_backend_appends_a_line_of_four_fields(outbox):
    queue()

    assert sms.send_due() == 1

    (line,) = outbox()
    assert list(line) == ["at", "to", "text", "code"]
    assert (line["to"], line["text"], line["code"]) == (ASHA, TEXT, "123456")
    assert line["at"].endswith("Z")
    at = datetime.fromisoformat(line["at"])
    assert abs(at - datetime.now(UTC)) < MINUTE


@pytest.mark.django_db
def test_once_sent_no_code_is_left_in_the_row(outbox):
    message = queue()
    sms.send_due()
    message.refresh_from_db()
    assert message.sent_at
    assert message.code == "" and "123456" not in message.text
    assert message.text.startswith("•••• is your")


@pytest.mark.django_db
def test_a_sent_message_is_not_sent_again(outbox):
    queue()
    assert [sms.send_due(), sms.send_due()] == [1, 0]
    make_due()
    assert sms.send_due() == 0
    assert len(outbox()) == 1


@pytest.mark.django_db
def test_a_message_past_its_time_is_not_sent_and_its_code_wiped(outbox):
    late = queue()
    queue(code="", text="hello")
    SmsMessage.objects.filter(pk=late.pk).update(expires_at=Now())

    assert sms.send_due() == 1

    late.refresh_from_db()
    assert (late.error, late.code, late.sent_at) == ("expired", "", None)
    assert "123456" not in late.text
    assert [line["text"] for line in outbox()] == ["hello"]


@pytest.mark.django_db(transaction=True)
def test_four_loops_at_once_send_each_message_once(outbox):
    texts = {f"message {n}" for n in range(40)}
    for text in texts:
        queue(text=text, code="")

    sent = at_once(lambda _: sms.send_due(), range(4), threads=4)

    assert sum(sent) == 40
    assert sorted(line["text"] for line in outbox()) == sorted(texts)


@pytest.mark.django_db(transaction=True)
def test_a_loop_does_not_wait_for_a_message_that_another_one_holds(outbox):
    held = queue(text="held", code="")
    queue(text="free", code="")
    with transaction.atomic(durable=True):
        SmsMessage.objects.select_for_update(no_key=True).get(pk=held.pk)
        at_once(lambda _: sms.send_due(), [1], threads=1)
    assert [line["text"] for line in outbox()] == ["free"]


@pytest.mark.django_db
def test_the_console_backend_writes_the_same_line(settings, capsys):
    settings.SMS_BACKEND = "console"
    queue()
    sms.send_due()
    assert json.loads(capsys.readouterr().out)["code"] == "123456"


@pytest.mark.django_db
def test_a_full_disk_puts_the_message_back(settings, tmp_path):
    settings.SMS_BACKEND, settings.DATA = "file", tmp_path / "missing"
    message = queue()
    assert sms.send_due() == 0
    message.refresh_from_db()
    assert (message.tries, message.sent_at, message.failed_at) == (1, None, None)
    assert message.code == "123456"


@pytest.mark.django_db
def test_the_gateway_gets_the_template_filled_in_whatever_the_text_holds(gateway, settings):
    settings.SMS_HTTP_BODY = json.dumps(
        {
            "messages": [{"to": "{to}", "body": "{text}", "vars": ["{code}"]}],
            "dlt": {"entity": "{entity_id}", "template": "{template_id}", "header": "{header}"},
            "priority": 1,
        }
    )
    settings.SMS_DLT_ENTITY_ID, settings.SMS_DLT_HEADER = "E1", "WEELO"
    settings.SMS_DLT_TEMPLATE_ID, settings.SMS_DLT_DROP_TEMPLATE_ID = "T-otp", "T-drop"
    queue()
    queue(template="drop_code", text="Drop code 4321", code="4321")

    assert sms.send_due() == 2

    (authorization, first), (_, second) = gateway.got
    assert authorization == "Bearer gateway-token"
    assert first == {
        "messages": [{"to": ASHA, "body": TEXT, "vars": ["123456"]}],
        "dlt": {"entity": "E1", "template": "T-otp", "header": "WEELO"},
        "priority": 1,
    }
    assert second["dlt"]["template"] == "T-drop"


@pytest.mark.django_db
def test_a_gateway_in_trouble_is_asked_three_times_with_a_pause(gateway):
    gateway.answers = [(503, {})] * 3
    message = queue()

    for tries in (1, 2):
        assert sms.send_due() == 0
        message.refresh_from_db()
        assert (message.tries, message.failed_at) == (tries, None)
        assert message.error == "the gateway answered 503"
        make_due()
    sms.send_due()
    message.refresh_from_db()

    assert message.failed_at and message.code == ""
    make_due()
    assert sms.send_due() == 0
    assert len(gateway.got) == 3


@pytest.mark.django_db
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(gateway, status):
    gateway.answers = [(status, {"Retry-After": "40"})]
    message = queue()
    sms.send_due()
    message.refresh_from_db()
    waits = message.next_try_at - datetime.now(UTC)
    assert timedelta(seconds=35) < waits <= timedelta(seconds=41)


@pytest.mark.django_db
def test_a_message_that_the_gateway_refuses_is_not_sent_again(gateway):
    gateway.answers = [(400, {})]
    message = queue()
    sms.send_due()
    make_due()
    sms.send_due()
    message.refresh_from_db()
    assert (message.tries, message.error) == (1, "the gateway answered 400")
    assert message.failed_at and len(gateway.got) == 1


@pytest.mark.django_db
def test_a_dead_gateway_is_spared_after_five_failures_and_no_try_is_lost(gateway, settings):
    settings.SMS_HTTP_URL = "http://127.0.0.1:9/send"
    messages = [queue() for _ in range(7)]

    assert sms.send_due() == 0

    tries = [SmsMessage.objects.get(pk=message.pk).tries for message in messages]
    assert tries == [1, 1, 1, 1, 1, 0, 0]
    assert sms_backends.breaker.is_open
    assert SmsMessage.objects.filter(error="").count() == 2  # not even looked at


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("", 0), ("soon", 0), ("-5", 0), ("99999999999", 900)]
)
def test_a_retry_after_is_read_as_far_as_it_makes_sense(header, seconds):
    assert retry_after(header) == timedelta(seconds=seconds)


def test_a_message_is_queued_only_together_with_what_it_tells_about(transactional_db):
    with pytest.raises(RuntimeError, match="queue it inside"):
        sms.queue(ASHA, "otp", "text", ttl=MINUTE)
