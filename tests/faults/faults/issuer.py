"""An issuer of dashboard tokens that accepts connections and does not answer."""

import time
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


def silent_issuer(context: RoundContext) -> None:
    """Let the issuer stop answering while tokens with known and with unknown keys arrive."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{POSTS}"
    with issuer() as running, httpx.Client(timeout=5, trust_env=False) as client:
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
        with ThreadPoolExecutor(_UNKNOWN) as pool:
            unknown = [pool.submit(status, token(f"unknown {number}")) for number in range(_UNKNOWN)]
            for _ in range(5):
                for credential in (token("known"), context.environment.api_key):
                    began = time.monotonic()
                    assert status(credential) == httpx.codes.OK
                    assert time.monotonic() - began < _AT_ONCE_SECONDS, "a valid credential was delayed"
            assert {one.result() for one in unknown} == {httpx.codes.UNAUTHORIZED}
        assert context.environment.fleet.stop(member) == []


FAULTS = (Fault("silent JWKS issuer", silent_issuer),)
