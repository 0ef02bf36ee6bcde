"""``/platforms/{platform}/…``: handshakes, webhooks and callbacks of the platforms.

A platform's routes answer 404 until its secret is set. Nothing of a body is used before its signature holds;
it is bounded in size, time and rate, and answered once it is stored.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from psycopg import errors as postgres_errors
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api_stub.http import metrics
from api_stub.http.bodies import read_body
from api_stub.http.errors import ApiError, json_response, not_found, too_many, unavailable
from api_stub.signals import linkedin, meta, tiktok, x
from api_stub.signals.processing import process_all, store
from api_stub.signals.signal import CODE_LENGTH, ForgedError, Signal, SignalKind, same
from shared.freshness.signals import SignalSource, parse_precisions
from shared.operations.signals import observe
from shared.settings import Settings
from shared.vocabulary import Platform

MAX_BODY_BYTES: Final = 512 * 1024
BODY_SECONDS: Final = 5.0
PER_SECOND: Final = 50.0
BURST: Final = 200
PROCESS_EVERY: Final = 30.0
"""Seconds between two searches for signals that another process stored and did not apply."""
_SECRETS: Final = {
    Platform.TIKTOK: "tiktok_client_secret",
    Platform.INSTAGRAM: "meta_app_secret",
    Platform.FACEBOOK: "meta_app_secret",
    Platform.X: "x_consumer_secret",
    Platform.LINKEDIN: "linkedin_client_secret",
}
_log = structlog.get_logger(__name__)


class Receiver:
    """Receives signals for one process, and applies them in the background."""

    def __init__(
        self, settings: Settings, engine: Engine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self.engine = engine
        self._clock = clock
        self._full_at: dict[Platform, float] = {}
        self._stored = asyncio.Event()
        self._applying: asyncio.Future[None] | None = None

    def secret(self, request: Request) -> tuple[Platform, str]:
        """Return the platform of a request and its secret. Raises `ApiError` (404) when it is off."""
        name = request.path_params["platform"]
        if name in set(Platform):
            platform = Platform(name)
            secret = getattr(self.settings, _SECRETS[platform])
            if secret is not None:
                return platform, secret.get_secret_value()
        raise not_found("no signals are received here")

    async def body(self, request: Request, platform: Platform) -> bytes:
        """Return the raw body. Raises `ApiError`: 429 for too many, and what `read_body` raises."""
        now = self._clock()
        full_at = max(self._full_at.get(platform, now), now) + 1 / PER_SECOND
        wait = full_at - now - BURST / PER_SECOND
        if wait > 0:
            metrics.SIGNALS.labels(platform.value, "limited").inc()
            raise too_many("Too many signals.", wait)
        self._full_at[platform] = full_at
        return await read_body(request, max_bytes=MAX_BODY_BYTES, seconds=BODY_SECONDS)

    def verified(self, platform: Platform, parse: Callable[[], list[Signal]]) -> list[Signal]:
        """Return what a body says. Raises `ApiError` (401) when its platform did not send it."""
        try:
            return parse()
        except ForgedError as error:
            metrics.SIGNALS.labels(platform.value, "forged").inc()
            _log.warning("signal_refused", platform=platform.value, detail=str(error))
            raise ApiError(401, "unauthorized", "The signature does not match.") from None

    async def accept(self, platform: Platform, signals: list[Signal]) -> None:
        """Store signals; they are applied after the answer. Raises `ApiError` (503): send it again."""
        useful = [one for one in signals if one.kind is not SignalKind.IGNORED]
        metrics.SIGNALS.labels(platform.value, "ignored").inc(len(signals) - len(useful))
        try:
            new = await run_in_threadpool(store, self.engine, platform.value, useful) if useful else []
        except (DBAPIError, PoolTimeoutError) as error:
            raise unavailable("database_unavailable", "Nothing was stored: send it again.", 2) from error
        metrics.SIGNALS.labels(platform.value, "accepted").inc(sum(new))
        metrics.SIGNALS.labels(platform.value, "repeated").inc(len(new) - sum(new))
        self._stored.set()

    async def run(self) -> None:
        """Apply stored signals until cancelled."""
        while True:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROCESS_EVERY):
                    await self._stored.wait()
            self._stored.clear()
            # A thread cannot be cancelled: `close` waits for it, or its connection would outlive the pool.
            self._applying = asyncio.ensure_future(self._apply())
            await asyncio.shield(self._applying)

    async def close(self) -> None:
        """Wait for the thread that `run` had started when it was cancelled."""
        if self._applying is not None:
            await asyncio.wait({self._applying})

    async def report_reads(self, rows: Sequence[tuple[str, int]]) -> None:
        """Take reads by clients as signals, where the settings give them a precision; a lost one is harmless.

        ``rows``: workspaces and publications.
        """
        if rows and parse_precisions(self.settings.signal_precision)[SignalSource.READ]:
            try:
                await run_in_threadpool(self._observe_reads, rows)
            except (DBAPIError, PoolTimeoutError) as error:
                _log.warning("signals_not_applied", detail=type(error).__name__)

    def _observe_reads(self, rows: Sequence[tuple[str, int]]) -> None:
        by_workspace: dict[str, list[int]] = defaultdict(list)
        for workspace_id, publication_id in rows:
            by_workspace[workspace_id].append(publication_id)
        for workspace_id, ids in sorted(by_workspace.items()):
            with self.engine.begin() as connection:
                observe(connection, self.settings, workspace_id, ids, SignalSource.READ)

    async def _apply(self) -> None:
        try:
            await run_in_threadpool(process_all, self.engine, self.settings)
        except (DBAPIError, PoolTimeoutError) as error:
            if isinstance(getattr(error, "orig", None), postgres_errors.UndefinedTable):
                return  # the schema is older than this program: /readyz says so
            _log.warning("signals_not_applied", detail=type(error).__name__)


def receiver_of(request: Request) -> Receiver:
    """Return the receiver of the service that handles a request."""
    receiver: Receiver = request.app.receiver
    return receiver


async def receive(request: Request) -> Response:
    """Store the signals of a webhook's body and answer 200; also for a repeated one, or an unknown type."""
    receiver = receiver_of(request)
    platform, secret = receiver.secret(request)
    body = await receiver.body(request, platform)
    headers = {name.lower(): value for name, value in request.headers.items()}
    now = datetime.now(UTC)
    parse: dict[Platform, Callable[[], list[Signal]]] = {
        Platform.TIKTOK: lambda: tiktok.parse(secret, headers, body, now),
        Platform.X: lambda: x.parse(secret, headers, body),
        Platform.LINKEDIN: lambda: linkedin.parse(secret, headers, body),
    }
    signals = receiver.verified(
        platform,
        parse.get(platform, lambda: meta.parse_webhook(secret, platform.value, headers, body)),
    )
    await receiver.accept(platform, signals)
    return json_response({})


async def shake_hands(request: Request) -> Response:
    """Answer the check with which a platform makes sure that the address is ours."""
    receiver = receiver_of(request)
    platform, secret = receiver.secret(request)
    query = request.query_params
    match platform:
        case Platform.X if (token := query.get("crc_token")) is not None:
            return json_response({"response_token": x.response_token(secret, token)})
        case Platform.LINKEDIN if (code := query.get("challengeCode")) is not None:
            answer = linkedin.challenge_response(secret, code)
            return json_response({"challengeCode": code, "challengeResponse": answer})
        case Platform.INSTAGRAM | Platform.FACEBOOK if query.get("hub.mode") == "subscribe":
            expected = receiver.settings.meta_verify_token
            if expected is None or not same(expected.get_secret_value(), query.get("hub.verify_token")):
                raise ApiError(401, "unauthorized", "The verify token does not match.")
            return PlainTextResponse(query.get("hub.challenge", ""))
        case _:
            raise not_found("no handshake is expected here")


async def deauthorize(request: Request) -> Response:
    """Receive Meta's callback when a user has removed the app."""
    await _callback(request, SignalKind.REVOKED)
    return json_response({})


async def delete_data(request: Request) -> Response:
    """Receive Meta's data-deletion callback; answer with a code and the address of its status."""
    code = (await _callback(request, SignalKind.DELETION)).signal_id.split(":")[1][:CODE_LENGTH]
    url = request.url_for("deletion_status", platform=request.path_params["platform"], code=code)
    return json_response({"url": str(url), "confirmation_code": code})


async def _callback(request: Request, kind: SignalKind) -> Signal:
    receiver = receiver_of(request)
    platform, secret = receiver.secret(request)
    if platform not in {Platform.INSTAGRAM, Platform.FACEBOOK}:
        raise not_found("this platform has no such callback")
    body = await receiver.body(request, platform)
    (signal,) = receiver.verified(platform, lambda: [meta.parse_callback(secret, platform.value, kind, body)])
    await receiver.accept(platform, [signal])
    return signal
