"""Signals of a platform as operations: each is stored before, and applied by the operation."""

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine

from api_stub.signals import processing
from api_stub.signals.signal import SignalKind
from tests.interleavings.model.environment import Environment, Operation, operation
from tests.interleavings.model.world import CLAIMED


def _apply(environment: Environment, engine: Engine) -> int:
    return processing.process_all(engine, environment.harness.context.settings)


def _signal(name: str, kind: SignalKind, worlds: str, subject: Mapping[str, Any]) -> Operation:
    stored = json.dumps({"user": "pa", **subject})
    prepare = f"""
    INSERT INTO signals (signal_id, platform, kind, subject)
    VALUES ('{name}', 'tiktok', '{kind}', '{stored}') ON CONFLICT DO NOTHING;
    """
    return operation(f"signal_{name}", _apply, worlds, prepare)


SIGNALS: Final = [
    _signal("revoked", SignalKind.REVOKED, "active disconnected", {"sentence": "Access was withdrawn"}),
    _signal("deletion", SignalKind.DELETION, "active disconnected", {}),
    _signal("moved", SignalKind.MOVED, "active", {"post": f"70{CLAIMED}"}),
    _signal(
        "published", SignalKind.PUBLISHED, "active disconnected erasing", {"publish_id": "p2", "post": "702"}
    ),
    _signal("published_in_use", SignalKind.PUBLISHED, "active", {"publish_id": "p2", "post": "799"}),
    _signal(
        "story_ended",
        SignalKind.STORY_ENDED,
        "active disconnected erasing",
        {"post": f"70{CLAIMED}", "metrics": {"reach": 5}},
    ),
]
