"""An issuer of dashboard tokens that accepts connections and does not answer."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from deploy.local.servers.server_process import free_port
from tests.api_stub.support import POSTS
from tests.faults.harness.waiting import wait_until
from tests.faults.matrix import Fault, RoundContext
from tests.issuer import AUDIENCE, issuer, token

_AT_ONCE_SECONDS = 1.5
"""Below the time for which a request may wait for an unknown key."""
_UNKNOWN = 40
_TRIES = 3
"""A busy machine may delay a response, though hardly in every try."""


def silent_issuer(context: RoundContext) -> None:
    """Let the issuer stop answering while tokens with known and with unknown keys arrive."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{POSTS}"
    with issuer() as running, httpx.Client(timeout=20, trust_env=False) as client:
        running.publish("known")
        member = context.environment.fleet.start(
            "api_stub",
            temporary=True,
            DRAVO_API_PORT=str(port),
            DRAVO_JWT_JWKS_URL=running.url,
            DRAVO_JWT_AUDIENCE=AUDIENCE,
        )

        def status(credential: str) -> int:
            return client.get(url, headers={"Authorization": f"Bearer {credential}"}).status_code

        wait_until(lambda: member.logged("api_listening"), 30, "a second API")
        wait_until(lambda: status(token("known")) == httpx.codes.OK, 30, "the issuer's key")
        running.answers.clear()
        longest: list[float] = []
        with ThreadPoolExecutor(_UNKNOWN) as pool:
            while min(longest, default=_AT_ONCE_SECONDS) >= _AT_ONCE_SECONDS:
                assert len(longest) < _TRIES, f"a valid credential was delayed: {longest}"
                invented = [f"unknown {len(longest)} {number}" for number in range(_UNKNOWN)]
                unknown = [pool.submit(status, token(one)) for one in invented]
                longest.append(max(_durations(status, [token("known"), context.environment.api_key] * 5)))
                assert {one.result() for one in unknown} == {httpx.codes.UNAUTHORIZED}
        assert context.environment.fleet.stop(member) == []


def _durations(status: Callable[[str], int], credentials: Sequence[str]) -> Iterator[float]:
    """Send a request with each credential, which must be accepted, and yield how long it took."""
    for credential in credentials:
        began = time.monotonic()
        assert status(credential) == httpx.codes.OK
        yield time.monotonic() - began


FAULTS = (Fault("silent JWKS issuer", silent_issuer),)
