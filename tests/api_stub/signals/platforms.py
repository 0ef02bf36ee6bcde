"""Secrets of the platforms' signals, and what a test sends and looks at."""

from typing import Any

import httpx

from api_stub.signals.processing import process_all
from deploy.simulators.signals import SignedRequest
from shared.accounts.vault import new_key
from tests.api_stub.support import Api

TIKTOK, META, X, LINKEDIN = (f"secret-of-the-application-at-{name}" for name in ("tiktok", "meta", "x", "li"))
SETTINGS = {
    "tiktok_client_secret": TIKTOK,
    "meta_app_secret": META,
    "meta_verify_token": "verify-me",
    "x_consumer_secret": X,
    "linkedin_client_secret": LINKEDIN,
    "internal_token": "internal-token-of-the-tests-long-enough",
    "secret_keys": new_key(),
}


def send(api: Api, request: SignedRequest) -> httpx.Response:
    """Send a signal and apply what is stored."""
    answer = api.run(api.client.post(request.path, headers=dict(request.headers), content=request.body))
    process_all(api.service.receiver.engine, api.service.receiver.settings)
    return answer


def state(api: Api, account_id: str) -> tuple[Any, ...]:
    row = api.rows.execute(
        "SELECT state, sealed_access_token, state_reason FROM accounts WHERE account_id = :id", id=account_id
    )[0]
    return tuple(row)


def due(api: Api, post: str) -> bool:
    row = api.rows.execute(
        "SELECT r.next_run_at <= now() AS due FROM refresh_state r"
        " JOIN publications p ON p.id = r.publication_id WHERE p.post_id = :post",
        post=post,
    )[0]
    return bool(row.due)
