"""A phone: calls of the public HTTP contract, with its tokens, retries and patience."""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from dispatch.simulation.people import Account
from dispatch.simulation.report import Tally

# Seconds between tries of a call that got no answer, or 503.
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)
RENEW_BEFORE_S = 60.0
LONGEST_WAIT_S = 60.0
CALL_S = 15.0


class Away(Exception):
    """The server gives no answer, for as long as a phone tries."""


class SignedOut(Exception):
    """The session has ended: nothing works any more for this account."""


@dataclass(frozen=True)
class Answer:
    """What came back; a refusal has the problem's `code`."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return self.status < 400

    @property
    def code(self) -> str:
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


def client(api: str, connections: int = 50) -> httpx.AsyncClient:
    """What the phones of one process share; `api` such as http://127.0.0.1:8000."""
    # No proxy or certificate of the environment is looked for: a plain client of one server.
    return httpx.AsyncClient(
        base_url=f"{api.rstrip('/')}/api/v1/",
        timeout=CALL_S,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        trust_env=False,
    )


def socket_url(api: str, account: Account) -> str:
    """Where the sockets live, as the server tells its phones. Raises Away."""
    headers = {"Authorization": f"Bearer {account.access}"}
    url = f"{api.rstrip('/')}/api/v1/socket-ticket"
    try:
        answer = httpx.post(url, headers=headers, json={}, timeout=CALL_S, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as fault:
        raise Away(f"{api} does not answer as Weelo does: {fault}") from fault
    return str(answer.json()["socket_url"])


class Phone:
    """One signed-in device."""

    def __init__(self, account: Account, line: httpx.AsyncClient, tally: Tally) -> None:
        self.account = account
        self._line, self._tally = line, tally
        self._access, self._refresh, self._until = account.access, account.refresh, account.until
        self._ttl_s = self._until - time.time()
        self._renewing = asyncio.Lock()

    async def get(self, path: str, *, but: Collection[str] = (), **query: Any) -> Answer:
        """As `call`, with query parameters."""
        return await self.call("GET", path, but=but, query=query)

    async def post(
        self, path: str, body: Any = None, *, but: Collection[str] = (), key: str = ""
    ) -> Answer:
        """As `call`; `key` is the idempotency key."""
        return await self.call("POST", path, body or {}, but=but, key=key)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        but: Collection[str] = (),
        query: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> Answer:
        """Call until there is an answer. `but`: the codes of refusals that the caller reckons
        with; any other refusal is a fault in the tally. All calls of the contract may be repeated.

        Raises Away, SignedOut.
        """
        headers = {"Idempotency-Key": key} if key else {}
        renewed = False
        for pause_s in (*PAUSES_S, None):
            headers["Authorization"] = f"Bearer {await self.access()}"
            answer = await self._try(method, path, body, query, headers)
            if answer is not None and answer.status == 401 and not renewed:
                renewed = True
                await self._renew(headers["Authorization"])
                continue
            if answer is not None and (pause_s is None or answer.status not in (429, 503)):
                return self._judge(method, path, answer, but)
            if pause_s is not None:
                await asyncio.sleep(_wait_s(answer, pause_s))
        raise Away(f"{method} {path}: no answer after {len(PAUSES_S) + 1} tries")

    async def access(self) -> str:
        """An access token that holds for a while. Raises SignedOut, Away."""
        if self._until - time.time() < min(RENEW_BEFORE_S, self._ttl_s / 3):
            await self._renew(f"Bearer {self._access}")
        return self._access

    def distrust(self) -> None:
        """Renew the tokens before the next use."""
        self._until = 0.0

    async def _renew(self, used: str) -> None:
        """Fresh tokens, unless another task got them since `used` was sent."""
        async with self._renewing:
            if used != f"Bearer {self._access}":
                return
            for pause_s in (*PAUSES_S, None):
                body = {"refresh": self._refresh}
                answer = await self._try("POST", "auth/token/refresh", body, None, {})
                if answer is not None and answer.status == 200:
                    self._access, self._refresh = answer.body["access"], answer.body["refresh"]
                    self._until = time.time() + answer.body["expires_in"]
                    self._tally.count("tokens renewed")
                    return
                if answer is not None and answer.status == 401:
                    raise SignedOut(f"The session of {self.account.user_id} has ended.")
                if pause_s is not None:
                    await asyncio.sleep(pause_s)
        raise Away("The tokens could not be renewed.")

    async def _try(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> Answer | None:
        """One try; None when nothing came back."""
        try:
            came = await self._line.request(
                method, path, json=body, params=query, headers=dict(headers)
            )
        except httpx.TransportError:
            self._tally.count("calls without an answer")
            return None
        if came.status_code in (429, 503):
            self._tally.count(f"answers {came.status_code}")
        return Answer(came.status_code, _json(came), came.headers)

    def _judge(self, method: str, path: str, answer: Answer, but: Collection[str]) -> Answer:
        if not answer.ok and answer.code in but:
            self._tally.refusals[f"{method} {_route(path)}: {answer.code}"] += 1
        elif not answer.ok:
            self._tally.fault(f"{method} {_route(path)}: {answer.status} {answer.code}".rstrip())
        return answer


def _wait_s(answer: Answer | None, pause_s: float) -> float:
    """How long to wait before the call is tried again: as long as the server says, if it does."""
    told = answer.headers.get("Retry-After", "") if answer else ""
    return min(float(told), LONGEST_WAIT_S) if told.isdigit() else pause_s


def _json(came: httpx.Response) -> Any:
    try:
        return came.json() if came.content else None
    except ValueError:
        return None


def _route(path: str) -> str:
    """The path without its ids."""
    return "/".join("{id}" if len(part) == 36 else part for part in path.split("/"))
