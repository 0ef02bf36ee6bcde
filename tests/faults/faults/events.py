"""Events of one account that arrive at the same moment."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx

from tests.faults.harness.environment import INTERNAL_TOKEN, THREADS, Environment
from tests.faults.judge.invariants import Tolerance
from tests.faults.matrix import Fault, RoundContext

_AT_ONCE = 8
_PASSES = 10
_TOKEN_LIFE = timedelta(days=50)
_numbers = count(1)


def published_while_reconnecting(context: RoundContext) -> None:
    """Disconnect every account; then reconnect each one and publish a new post of it at the same moment."""
    environment = context.environment
    headers = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
    with (
        httpx.Client(base_url=environment.api_url, headers=headers, timeout=20, trust_env=False) as client,
        ThreadPoolExecutor(_AT_ONCE) as senders,
    ):

        def send(*events: dict[str, Any]) -> None:
            client.post("/internal/events", json=events).raise_for_status()

        for _ in range(int(context.seconds(2, _PASSES))):
            accounts = environment.seed_data.account_rows
            send(*(_event("account.disconnected", account_id=one["account_id"]) for one in accounts))
            at_once = []
            for one in context.random.sample(accounts, len(accounts)):
                tokens = _new_consent(environment, one)
                events = [
                    _event("publication.published", **_new_post(environment, one["account_id"])),
                    _event("account.reconnected", account_id=one["account_id"], **tokens),
                ]
                context.random.shuffle(events)
                at_once += [senders.submit(send, event) for event in events]
            for sending in at_once:
                sending.result()


def _event(kind: str, **data: Any) -> dict[str, Any]:
    return {"event_id": f"evt_at_once_{next(_numbers)}", "type": kind, "data": data}


def _new_consent(environment: Environment, row: dict[str, Any]) -> dict[str, Any]:
    """Issue new tokens, as the platform does when an account's owner connects it again."""
    world = environment.simulators.world
    before = world.account(row["platform"], row["platform_account_id"])
    assert before is not None
    issued = world.rotate(before, access_life=_TOKEN_LIFE, new_refresh_token=True)
    environment.tokens |= {issued.access_token, *filter(None, [issued.refresh_token])}
    return {
        "access_token": issued.access_token,
        "refresh_token": issued.refresh_token,
        "token_expires_at": (datetime.now(UTC) + _TOKEN_LIFE).isoformat(),
        "refresh_token_expires_at": row["refresh_token_expires_at"],
    }


def _new_post(environment: Environment, account_id: str) -> dict[str, Any]:
    """Add a post to an account's platform and return the data of the event that publishes it."""
    row = next(one for one in environment.seed_data.publication_rows if one["account_id"] == account_id)
    known = next(
        one for one in environment.seed_data.posts if one.platform_post_id == row["platform_post_id"]
    )
    number = next(_numbers)
    new_id = re.sub(r"\d{6}$", f"{900_000 + number}", known.platform_post_id)
    environment.simulators.world.add_posts([replace(known, platform_post_id=new_id)])
    return {**row, "post_id": f"post_at_once_{number}", "platform_post_id": new_id}


FAULTS = (
    # In each pass the fencing token rejects the jobs that run while their account is disconnected.
    Fault(
        "published while reconnecting",
        published_while_reconnecting,
        Tolerance(lost_jobs=_PASSES * 2 * THREADS),
    ),
)
