"""An FCM of our own: speaks Google's OAuth and the HTTP v1 API to the real client."""

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

PROJECT = "weelo-test"
SENDER = "sender@weelo-test.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"  # whatever the address
ACCESS = "access-of-the-sender"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_PUBLIC = _KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
_PRIVATE = _KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()

# What FCM says, as in its reference of error codes.
UNREGISTERED = (404, "NOT_FOUND", "UNREGISTERED")
WRONG_SENDER = (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")
BAD_ARGUMENT = (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
QUOTA = (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
AWAY = (503, "UNAVAILABLE", "UNAVAILABLE")
BROKEN = (500, "INTERNAL", "INTERNAL")


@dataclass
class Fcm:
    """What it got, in order, and how it answers: by token, and to everybody when `always`."""

    address: str = ""
    got: list = field(default_factory=list)
    at: list = field(default_factory=list)  # when each of them came
    answers: dict = field(default_factory=dict)
    always: tuple | None = None
    headers: dict = field(default_factory=dict)
    hang_s: float = 0.0
    signed_in: int = 0

    @property
    def tokens(self):
        return [message["token"] for message in self.got]

    @property
    def account(self):
        """The service account to give to the product, as JSON."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "k1",
                "private_key": _PRIVATE,
                "client_email": SENDER,
                "client_id": "1",
                "token_uri": f"{self.address}/token",
            }
        )


def serve():
    """A running FCM and the server it lives on; whoever starts it shuts it down."""
    fcm = Fcm()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"fcm": fcm}))
    fcm.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    return fcm, server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a batch comes at once


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/token":
            self._sign_in(parse_qs(body.decode()))
        elif self.path == f"/v1/projects/{PROJECT}/messages:send":
            self._send(json.loads(body))
        else:
            self._answer(404, {"error": {"status": "NOT_FOUND", "message": self.path}})

    def _sign_in(self, form):
        claims = jwt.decode(form["assertion"][0], certs=_PUBLIC, audience=AUDIENCE)
        assert claims["iss"] == SENDER
        assert "https://www.googleapis.com/auth/cloud-platform" in claims["scope"]
        self.fcm.signed_in += 1
        self._answer(200, {"access_token": ACCESS, "expires_in": 3600, "token_type": "Bearer"})

    def _send(self, body):
        if self.headers["Authorization"] != f"Bearer {ACCESS}":
            self._answer(401, {"error": {"status": "UNAUTHENTICATED", "message": "who?"}})
            return
        message = body["message"]
        assert all(isinstance(value, str) for value in message["data"].values()), message
        self.fcm.at.append(datetime.now(UTC))
        self.fcm.got.append(message)
        if self.fcm.hang_s:
            time.sleep(self.fcm.hang_s)
        fault = self.fcm.always or self.fcm.answers.get(message["token"])
        if fault is None:
            self._answer(200, {"name": f"projects/{PROJECT}/messages/{len(self.fcm.got)}"})
            return
        status, name, code = fault
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        details = [{"@type": kind, "errorCode": code}]
        error = {"code": status, "message": f"fake: {code}", "status": name, "details": details}
        self._answer(status, {"error": error}, self.fcm.headers)

    def _answer(self, status, body, headers=None):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
