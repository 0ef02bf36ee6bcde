"""The fault of the issuer of dashboard tokens: it accepts connections and answers nothing."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from deploy.local.server_process import free_port
from tests.api_stub.support import POSTS
from tests.faults.harness.waiting import until
from tests.faults.matrix import Fault, Scene
from tests.issuer import AUDIENCE, issuer, token

_AT_ONCE_SECONDS = 1.5
"""Below the time for which a request may wait for an unknown key."""
_INVENTED = 40


def silent_issuer(scene: Scene) -> None:
    """Let the issuer fall silent while tokens with known and with invented keys arrive."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{POSTS}"
    with issuer() as running, httpx.Client(timeout=5, trust_env=False) as client:
        running.publish("known")
        member = scene.stage.fleet.start(
            "api_stub",
            passing=True,
            DRAVO_API_PORT=str(port),
            DRAVO_JWT_JWKS_URL=running.url,
            DRAVO_JWT_AUDIENCE=AUDIENCE,
        )

        def status(credential: str) -> int:
            return client.get(url, headers={"Authorization": f"Bearer {credential}"}).status_code

        until(lambda: member.says("api_listening"), 30, "a second API")
        until(lambda: status(token("known")) == httpx.codes.OK, 30, "the issuer's key")
        running.answers.clear()
        with ThreadPoolExecutor(_INVENTED) as pool:
            invented = [pool.submit(status, token(f"invented {number}")) for number in range(_INVENTED)]
            for _ in range(5):
                for credential in (token("known"), scene.stage.api_key):
                    began = time.monotonic()
                    assert status(credential) == httpx.codes.OK
                    assert time.monotonic() - began < _AT_ONCE_SECONDS, "a valid credential had to wait"
            assert {one.result() for one in invented} == {httpx.codes.UNAUTHORIZED}
        assert scene.stage.fleet.end(member) == []


FAULTS = (Fault("silent JWKS issuer", silent_issuer),)
