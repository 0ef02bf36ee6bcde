"""Trace contexts are kept by claim, the newest for longest, and each is used once."""

import json

import pytest

from scheduler import trace_contexts
from scheduler.trace_contexts import TraceContexts
from shared.refresh_queue import RefreshJob


def payload(context: str, *claims: tuple[int, int]) -> str:
    return json.dumps({"traceparent": context, "claims": claims})


def job(*claims: tuple[int, int]) -> RefreshJob:
    return RefreshJob("acc_1", claims)


def test_job_has_the_context_of_its_first_claim_with_one_and_uses_up_all_of_them() -> None:
    contexts = TraceContexts()
    contexts.remember(["", payload("a", (2, 1)), payload("b", (3, 1), (4, 1))])

    assert contexts.take(job((1, 1), (2, 1), (3, 1))) == "a"
    assert contexts.take(job((2, 1), (3, 1))) is None
    assert contexts.take(job((4, 2))) is None, "another claim of the publication"
    assert contexts.take(job((4, 1))) == "b"


def test_oldest_contexts_are_dropped_first_and_a_renewed_one_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trace_contexts._MOST == 10_000
    monkeypatch.setattr(trace_contexts, "_MOST", 3)
    contexts = TraceContexts()
    contexts.remember([payload("old", (1, 1)), payload("old", (2, 1)), payload("old", (3, 1))])
    contexts.remember([payload("new", (1, 1)), payload("new", (4, 1), (5, 1))])

    assert [contexts.take(job((number, 1))) for number in (1, 2, 3, 4, 5)] == [
        "new",
        None,
        None,
        "new",
        "new",
    ]
