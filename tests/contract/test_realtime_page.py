"""/api/realtime/ shows the document of the sockets."""

import html

import yaml

from tests.contract.frames import DOCUMENT, document


def test_the_page_shows_every_channel_message_field_and_close_code(client):
    answer = client.get("/api/realtime/")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/html")
    text = html.unescape(answer.content.decode())
    for name, channel in document()["channels"].items():
        assert channel["address"] in text
        for message in channel["messages"]:
            assert f'id="{name}-{message}"' in text, (name, message)
    for field in (
        "data.trucks[].payout_paise",
        "snapshot",
        "server_time",
        "data.your_vehicles[].registration",
    ):
        assert f"<code>{field}</code>" in text, field
    assert "<td>4409</td>" in text
    assert "http" not in text.replace("http-equiv", ""), "nothing is fetched from elsewhere"


def test_generators_get_the_document_itself(client):
    answer = client.get("/api/realtime/asyncapi.yaml")
    assert answer["Content-Type"] == "application/yaml"
    assert yaml.safe_load(answer.content) == yaml.safe_load(DOCUMENT.read_text())


def test_the_page_is_only_read(client):
    answer = client.post("/api/realtime/")
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
