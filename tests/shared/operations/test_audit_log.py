"""The audit log records who did what, how far it came, and in which order."""

import pytest

from shared.operations import audit_log
from shared.operations.audit_log import Operator
from tests.harness import Harness
from tests.shared.operations.rows import ADA


def test_entries_record_who_did_what_and_how_far_newest_first(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        first = audit_log.record(connection, ADA, "resync", {"platform": "x"}, reason="a wish", ended=False)
        second = audit_log.record(connection, Operator("bob", "page"), "resync", {"all": "all"}, ended=False)
        begun = audit_log.entry(connection, first)
        audit_log.record_progress(connection, first, rows=10, last=7)
        under_way = audit_log.entry(connection, first)
        audit_log.record_progress(connection, first, rows=12, last=None, ended=True)
        done = audit_log.entry(connection, first)
        untouched = audit_log.entry(connection, second)
        assert audit_log.entry(connection, 10**9) is None
        assert [one.entry_id for one in audit_log.entries(connection)] == [second, first]
        assert [one.entry_id for one in audit_log.entries(connection, most=1)] == [second]
        assert [one.entry_id for one in audit_log.entries(connection, before=second)] == [first]

    assert begun is not None
    assert under_way is not None
    assert done is not None
    assert untouched is not None
    assert (begun.operator, begun.via, begun.action, begun.subject) == (
        "ada",
        "command",
        "resync",
        {"platform": "x"},
    )
    assert (begun.reason, begun.rows, begun.last, begun.ended_at) == ("a wish", None, None, None)
    assert (under_way.rows, under_way.last, under_way.ended_at) == (10, 7, None)
    assert (done.rows, done.last, done.ended_at is not None) == (12, None, True)
    assert (untouched.operator, untouched.rows, untouched.ended_at) == ("bob", None, None)


@pytest.mark.parametrize(
    ("user", "sudo", "name"),
    [
        ("ada", None, "ada on host"),
        ("root", "ada", "root (sudo by ada) on host"),
        ("ada", "ada", "ada on host"),
    ],
)
def test_operator_at_terminal_is_the_user_and_who_used_sudo(
    monkeypatch: pytest.MonkeyPatch, user: str, sudo: str | None, name: str
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: user)
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    monkeypatch.delenv("SUDO_USER", raising=False)
    if sudo:
        monkeypatch.setenv("SUDO_USER", sudo)

    assert Operator.at_terminal() == Operator(name, "command")
