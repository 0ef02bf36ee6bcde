"""Faults of events: several that concern one account meet in one moment."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any

import httpx

from tests.faults.harness.environment import INTERNAL_TOKEN, THREADS, Stage
from tests.faults.judge.invariants import Allowed
from tests.faults.matrix import Fault, Scene

_AT_ONCE = 8
_PASSES = 10
_numbers = count(1)


def published_while_reconnecting(scene: Scene) -> None:
    """Disconnect every account; then reconnect each and publish a new post of it in the same moment."""
    stage = scene.stage
    headers = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
    with (
        httpx.Client(base_url=stage.api_url, headers=headers, timeout=20, trust_env=False) as client,
        ThreadPoolExecutor(_AT_ONCE) as senders,
    ):

        def send(*events: dict[str, Any]) -> None:
            client.post("/internal/events", json=events).raise_for_status()

        for _ in range(int(scene.seconds(2, _PASSES))):
            accounts = stage.story.account_rows
            send(*(_event("account.disconnected", account_id=one["account_id"]) for one in accounts))
            at_once = []
            for one in scene.random.sample(accounts, len(accounts)):
                pair = [
                    _event("publication.published", **_new_post(stage, one["account_id"])),
                    _event("account.reconnected", account_id=one["account_id"]),
                ]
                scene.random.shuffle(pair)
                at_once += [senders.submit(send, event) for event in pair]
            for sending in at_once:
                sending.result()


def _event(kind: str, **data: Any) -> dict[str, Any]:
    return {"event_id": f"evt_at_once_{next(_numbers)}", "type": kind, "data": data}


def _new_post(stage: Stage, account_id: str) -> dict[str, Any]:
    """Add a post to an account's platform and return the row that publishes it."""
    row = next(one for one in stage.story.publication_rows if one["account_id"] == account_id)
    known = next(one for one in stage.story.posts if one.platform_post_id == row["platform_post_id"])
    number = next(_numbers)
    new_id = re.sub(r"\d{6}$", f"{900_000 + number}", known.platform_post_id)
    stage.simulators.world.add_posts([replace(known, platform_post_id=new_id)])
    return {**row, "post_id": f"post_at_once_{number}", "platform_post_id": new_id}


FAULTS = (
    # What is in workers' hands when its account is disconnected is fenced off, in each of the passes.
    Fault(
        "published while reconnecting",
        published_while_reconnecting,
        Allowed(lost_jobs=_PASSES * 2 * THREADS),
    ),
)
