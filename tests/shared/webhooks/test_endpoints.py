"""Endpoints as operators change them: one endpoint of one workspace, beside others of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from shared.changes.cursor import AFTER_ALL_OF, Kind, decode
from shared.webhooks import deliveries, endpoints
from shared.webhooks.endpoints import Endpoint, EndpointError
from tests.harness import Harness
from tests.shared.webhooks.stored import HOUR, add, add_to, read, row


def test_added_endpoint_has_its_columns_and_begins_at_the_present(harness: Harness) -> None:
    harness.account("acc_1")
    harness.publications("acc_1", 2)
    endpoint_id, secret = add(harness)
    from_beginning, _ = add(harness, beginning=True)
    stored = row(harness, endpoint_id)

    assert (stored.workspace_id, stored.url, stored.host) == ("ws_1", "https://A.example/?k=1", "a.example")
    assert (stored.types, stored.thin, stored.state) == (["analytics.deleted"], True, "enabled")
    assert harness.context.vault.open(stored.sealed_secret).get_secret_value() == secret
    ((newest,),) = harness.execute("SELECT max(changed_in::text::bigint) FROM changes")
    assert (stored.changed_in, stored.changed_key) == (str(newest), AFTER_ALL_OF)
    position = decode(stored.cursor, "ws_1").position
    assert position == (newest, Kind.PUBLICATION, AFTER_ALL_OF)
    beginning = row(harness, from_beginning)
    assert (beginning.cursor, beginning.changed_in, beginning.changed_key) == (None, "0", 0)
    harness.publications(harness.account("acc_2", workspace_id="ws_2"))
    assert read(harness, endpoint_id).behind_seconds == 0, "changes of others are not its own"
    assert read(harness, from_beginning).behind_seconds > 0


def test_five_endpoints_are_the_most_of_one_workspace_that_has_an_account(harness: Harness) -> None:
    harness.account("acc_1")
    harness.account("acc_2", workspace_id="ws_2")
    for _ in range(5):
        add(harness)
    with pytest.raises(EndpointError, match="5 endpoints"):
        add(harness)
    add(harness, "ws_2")
    with pytest.raises(EndpointError, match="no account"):
        add(harness, "ws_3")


def test_endpoint_waits_for_another_one_that_is_being_added_to_its_workspace(harness: Harness) -> None:
    harness.account("acc_1")
    harness.account("acc_2", workspace_id="ws_2")
    with harness.engine.begin() as first:
        add_to(first, harness, "ws_1")
        with harness.engine.begin() as second:
            second.execute(text("SET LOCAL lock_timeout = '50ms'"))
            add_to(second, harness, "ws_2")
            with pytest.raises(OperationalError, match="lock timeout"):
                add_to(second, harness, "ws_1")


def test_list_has_what_was_asked_for_and_failing_endpoints_first(harness: Harness) -> None:
    values = {
        "fine": ("ws_2", "enabled", "NULL", "now() - interval '9 days'"),
        "new": ("ws_1", "enabled", "NULL", "now()"),
        "old": ("ws_1", "enabled", "NULL", "now() - interval '1 day'"),
        "long": ("ws_1", "enabled", "now() - interval '2 hours'", "now()"),
        "short": ("ws_1", "enabled", "now() - interval '1 hour'", "now()"),
        "off": ("ws_1", "disabled", "now() - interval '3 hours'", "now()"),
    }
    for name, (workspace, state, since, created) in values.items():
        harness.execute(
            "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, state,"
            f" failing_since, created_at) VALUES (:id, :w, 'https://h/?q', '', '', :state,"
            f" {since}, {created})",
            id=name,
            w=workspace,
            state=state,
        )
    for name, subject in (("old", "1"), ("old", "2"), ("new", "1")):
        harness.execute(
            "INSERT INTO webhook_refused_rows (endpoint_id, workspace_id, subject) VALUES (:id, 'ws_1', :s)",
            id=name,
            s=subject,
        )

    def listed(**wanted: Any) -> list[str]:
        with harness.engine.begin() as connection:
            return [one.endpoint_id for one in endpoints.list_endpoints(connection, **wanted)]

    assert listed() == ["long", "short", "off", "old", "new", "fine"]
    assert listed(most=2) == ["long", "short"]
    assert listed(workspace_id="ws_2") == ["fine"]
    assert listed(state="failing") == ["long", "short"]
    assert listed(state="enabled", workspace_id="ws_1") == ["old", "new"]
    assert listed(endpoint_id="off") == ["off"]
    assert (read(harness, "old").refused_rows, read(harness, "old").url) == (2, "https://h/")
    assert read(harness, "off").state == "disabled"
    with pytest.raises(EndpointError, match="absent"):
        read(harness, "absent")


@pytest.mark.parametrize("operation", ["rotate", "disable", "enable", "remove", "redeliver"])
def test_operation_changes_one_endpoint_of_its_workspace(
    harness: Harness, pair: tuple[str, str], operation: str
) -> None:
    one, other = pair
    foreign = replace(read(harness, one), workspace_id="ws_2")
    before = harness.execute("SELECT * FROM webhook_endpoints ORDER BY endpoint_id")

    def run(endpoint: Endpoint) -> None:
        with harness.engine.begin() as connection:
            match operation:
                case "rotate":
                    endpoints.rotate(connection, harness.context.vault, endpoint, HOUR)
                case "redeliver":
                    deliveries.redeliver_since(connection, endpoint, datetime(2020, 1, 1, tzinfo=UTC))
                case _:
                    getattr(endpoints, operation)(
                        connection, *([endpoint, "why"] if operation == "disable" else [endpoint])
                    )

    harness.account("acc_2", workspace_id="ws_2")
    run(foreign)
    assert harness.execute("SELECT * FROM webhook_endpoints ORDER BY endpoint_id") == before

    run(read(harness, one))
    after = {each.endpoint_id: each for each in harness.execute("SELECT * FROM webhook_endpoints")}
    assert after[other] in before
    assert after.get(one) not in before


def test_rotation_keeps_the_former_secret_for_its_overlap_alone(
    harness: Harness, pair: tuple[str, str]
) -> None:
    one, _ = pair
    first = row(harness, one).sealed_secret
    for overlap, former in ((HOUR, first), (timedelta(0), None)):
        with harness.engine.begin() as connection:
            secret = endpoints.rotate(
                connection, harness.context.vault, endpoints.find(connection, one), overlap
            )
            stored = connection.exec_driver_sql(
                "SELECT *, former_secret_until - now() AS rest FROM webhook_endpoints"
                " WHERE endpoint_id = %(id)s",
                {"id": one},
            ).one()
        assert harness.context.vault.open(stored.sealed_secret) == secret
        assert (stored.sealed_former_secret, stored.rest) == (former, overlap or None)


def test_disabled_endpoint_keeps_its_position_and_enabled_again_it_begins_without_failures(
    harness: Harness, pair: tuple[str, str]
) -> None:
    one, _ = pair
    harness.execute(
        "UPDATE webhook_endpoints SET next_run_at = now() + interval '1 hour', claim_seq = 7, failures = 4,"
        " failing_since = now(), failure = 'x', reported_at = now(), refused_alone = 3, rows_allowed = 9,"
        " most_rows = 2, state_changed_at = now() - interval '1 day'"
    )
    before = row(harness, one)
    with harness.engine.begin() as connection:
        endpoints.disable(connection, endpoints.find(connection, one), "their wish")
    disabled = row(harness, one)
    assert (disabled.state, disabled.state_reason, disabled.next_run_at) == ("disabled", "their wish", None)
    assert (disabled.claim_seq, disabled.changed < HOUR) == (8, True)
    assert (disabled.cursor, disabled.failing_since) == (before.cursor, before.failing_since)
    harness.execute("UPDATE webhook_endpoints SET state_changed_at = now() - interval '1 day'")

    with harness.engine.begin() as connection:
        endpoints.enable(connection, endpoints.find(connection, one))

    enabled = row(harness, one)
    assert (enabled.state, enabled.state_reason, enabled.changed < HOUR) == ("enabled", None, True)
    assert enabled.next_run_at == enabled.state_changed_at
    assert (enabled.claim_seq, enabled.failures, enabled.refused_alone) == (9, 0, 0)
    assert (enabled.failing_since, enabled.failure, enabled.reported_at) == (None, None, None)
    assert (enabled.rows_allowed, enabled.most_rows, enabled.cursor) == (1, 50, before.cursor)


def test_first_wrong_type_is_named_with_the_nearest_one() -> None:
    assert endpoints.unknown_types(["analytics.updated", "account.active"]) is None
    sentence = endpoints.unknown_types(["analytics.updated", "webhook.disable", "nothing"])
    assert sentence is not None
    assert "'webhook.disable'; did you mean webhook.disabled?" in sentence
