import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import firebase_admin
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from firebase_admin import _token_gen
from google.auth import crypt, jwt

from tests.accounts.doors import Phone
from tests.people import ASHA
from weelo.accounts import firebase
from weelo.accounts.models import User
from weelo.lib.breaker import Breaker

PROJECT = "weelo-test"


class Keys:
    """A signing key of our own, published as Google publishes its keys."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weelo-test")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(name, name, self.key.public_key(), 1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )
        self.published = {"k1": made.public_bytes(serialization.Encoding.PEM).decode()}

    def signer(self):
        pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        return crypt.RSASigner.from_string(pem, "k1")


KEYS, STRANGE_KEYS = Keys(), Keys()


class Google(BaseHTTPRequestHandler):
    """Serves the keys where firebase-admin looks for them."""

    def do_GET(self):
        self.server.asked += 1
        body = json.dumps(KEYS.published).encode()
        self.send_response(self.server.status)
        self.send_header("Cache-Control", "max-age=600")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def google(settings, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Google) as server:
        server.asked, server.status = 0, 200
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        settings.FIREBASE_PROJECT = PROJECT
        address = f"http://127.0.0.1:{server.server_port}/keys"
        monkeypatch.setattr(_token_gen, "ID_TOKEN_CERT_URI", address)
        fresh = Breaker("firebase", failures=5, window_s=30, open_s=60)
        monkeypatch.setattr(firebase, "breaker", fresh)
        firebase._app.cache_clear()
        yield server
        if firebase._app.cache_info().currsize:
            firebase_admin.delete_app(firebase._app())
        firebase._app.cache_clear()
        server.shutdown()
        thread.join()


def id_token(keys=KEYS, **changes):
    now = int(time.time())
    claims = {
        "iss": f"https://securetoken.google.com/{PROJECT}",
        "aud": PROJECT,
        "sub": "asha-at-google",
        "iat": now - 5,
        "exp": now + 3600,
        "phone_number": ASHA,
        **changes,
    }
    return jwt.encode(keys.signer(), claims).decode()


def sign_in(token):
    return Phone().post("auth/firebase", {"id_token": token, "device_name": "Moto"})


@pytest.mark.django_db
def test_a_phone_that_firebase_verified_signs_in(google):
    answer = sign_in(id_token())
    assert answer.status_code == 200
    assert answer.body["user"]["phone"] == ASHA
    assert Phone(answer.body["access"]).get("me").status_code == 200


@pytest.mark.django_db
def test_googles_keys_are_fetched_once_for_many_sign_ins(google):
    assert [sign_in(id_token()).status_code for _ in range(3)] == [200] * 3
    assert google.asked == 1


def unsigned():
    _, payload, _ = id_token().split(".")
    return f"eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.{payload}."


@pytest.mark.django_db
@pytest.mark.parametrize(
    "token",
    [
        lambda: id_token(aud="other-project"),
        lambda: id_token(iss="https://securetoken.google.com/other-project"),
        lambda: id_token(exp=int(time.time()) - 60),
        lambda: id_token(iat=int(time.time()) + 3600),
        lambda: id_token(keys=STRANGE_KEYS),
        lambda: id_token(phone_number="+16502530000"),
        lambda: id_token(phone_number=None),
        lambda: id_token(sub=""),
        unsigned,
        lambda: "not.a.token",
        lambda: "é",
    ],
    ids=lambda token: "",
)
def test_any_other_token_is_refused(google, token):
    answer = sign_in(token())
    assert (answer.status_code, answer.body["code"]) == (401, "ID_TOKEN_WRONG")
    assert not User.objects.exists()


@pytest.mark.django_db
def test_when_googles_keys_cannot_be_had_the_phone_may_try_again(google):
    google.status = 500
    answers = [sign_in(id_token()) for _ in range(6)]
    assert {(a.status_code, a.body["code"]) for a in answers} == {(503, "TRY_AGAIN")}
    assert google.asked == 5  # then the breaker spares them


def test_without_a_project_the_door_is_closed_and_says_so(db):
    answer = sign_in("anything")
    assert (answer.status_code, answer.body["code"]) == (404, "FIREBASE_OFF")


@pytest.mark.django_db
def test_the_emulator_that_takes_unsigned_tokens_is_refused(google, monkeypatch):
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    with pytest.raises(RuntimeError, match="FIREBASE_AUTH_EMULATOR_HOST"):
        firebase.verified_phone(unsigned())
