"""``dravo resume --try``: one call tests whether the cause of a stop is gone; the command waits for it."""

import time
from typing import Any, Final

import typer

from deploy import console, stores
from deploy.commands.presentation.pauses import shape, subject_name
from deploy.console import CommandError
from shared.operations import trial
from shared.operations.audit_log import Operator
from shared.operations.pause import Scope
from shared.operations.trial import NothingToTryError, TrialResult
from shared.quota.pauses import PauseKey, pauses_in_force
from shared.settings import load

_POLL_SECONDS: Final = 0.25


def try_stops(scope: Scope, *, timeout: float, as_json: bool) -> None:
    """Try the stops of a scope and show what became of each. Exits 1 unless the platform accepts a call."""
    settings = load("database_url")
    with stores.engine(settings) as engine:
        try:
            with engine.begin() as connection:
                tried = list(trial.try_stops(connection, Operator.at_terminal(), scope).probes)
        except NothingToTryError as error:
            raise CommandError(str(error)) from None
        until = time.monotonic() + timeout
        while True:
            with engine.connect() as connection:
                result = trial.trial_result(connection, tried)
                remaining = [shape(one) for one in pauses_in_force(connection)]
            if not result.waiting or time.monotonic() >= until:
                break
            time.sleep(_POLL_SECONDS)
    if as_json:
        console.emit(_document(result, remaining))
    else:
        _show(result)
    if result.refused or result.waiting:
        raise typer.Exit(1)


def _document(result: TrialResult, remaining: list[dict[str, Any]]) -> dict[str, Any]:
    groups = {"accepted": result.accepted, "refused": result.refused, "waiting": result.waiting}
    return {name: [_key(key) for key in keys] for name, keys in groups.items()} | {"pauses": remaining}


def _show(result: TrialResult) -> None:
    for key in result.accepted:
        console.show(f"{_name(key)} accepts calls again: everything that the stop held up is due now")
    for key, reason in zip(result.refused, result.reasons, strict=True):
        console.complain(f"dravo: {_name(key)} still refuses: {reason}")
    for key in result.waiting:
        console.complain(
            f"dravo: no call to {_name(key)} was answered yet: the first one that a worker makes decides"
            " (`dravo status` shows workers and schedulers)"
        )


def _name(key: PauseKey) -> str:
    return subject_name(_key(key))


def _key(key: PauseKey) -> dict[str, str]:
    return {"platform": key.platform, "kind": key.kind.value, "subject": key.subject}
