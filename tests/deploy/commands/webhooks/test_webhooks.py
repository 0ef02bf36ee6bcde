"""`dravo webhooks`: endpoints are tested, listed, rotated and removed; mistakes are one sentence."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.commands.conftest import Dravo
from tests.worker.webhooks.receiver import OK, Receiver, receiver


@pytest.fixture
def receiving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("DRAVO_WEBHOOK_ALLOW_NETWORKS", "127.0.0.0/8")
    with receiver() as running:
        yield running


@pytest.fixture
def endpoint(fleet: Dravo, sql: Any) -> str:
    """Store an endpoint as `add` does, without its test."""
    del fleet
    sql(
        "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret)"
        " VALUES ('whe_1', 'ws_1', 'https://hooks.example.com/a?key=hidden', 'hooks.example.com', 'x')"
    )
    return "whe_1"


def test_endpoint_is_added_after_a_test_and_its_secret_signs(
    fleet: Dravo, receiving: Receiver, sql: Any
) -> None:
    added = fleet("webhooks", "add", "--workspace", "ws_1", "--url", receiving.url, "--json")

    assert added.code == 0, added.err
    (tested,) = receiving.take()
    assert tested.verify(added.json["secret"])["type"] == "webhook.test"
    (listed,) = fleet("webhooks", "list", "--json").json
    assert (listed["endpoint_id"], listed["state"]) == (added.json["endpoint_id"], "enabled")
    assert "hidden" not in listed["url"]
    assert added.json["secret"] not in str(sql("SELECT * FROM webhook_endpoints"))
    (entry,) = fleet("audit-log", "--json").json
    assert (entry["act"], entry["subject"]["endpoint_id"]) == ("webhooks add", added.json["endpoint_id"])


def test_endpoint_that_refuses_the_test_is_not_added(fleet: Dravo, receiving: Receiver) -> None:
    receiving.script = lambda _request: (500, {})

    refused = fleet("webhooks", "add", "--workspace", "ws_1", "--url", receiving.url)

    assert refused.code == 1
    assert "refused (500)" in refused.err
    assert fleet("webhooks", "list", "--json").json == []


@pytest.mark.usefixtures("endpoint")
def test_disabled_endpoint_is_enabled_after_a_test(fleet: Dravo, receiving: Receiver) -> None:
    added = fleet("webhooks", "add", "--workspace", "ws_1", "--url", receiving.url, "--json").json
    endpoint_id = added["endpoint_id"]
    assert fleet("webhooks", "disable", endpoint_id, "--reason", "their wish").code == 0
    receiving.script = lambda _request: (500, {})
    assert fleet("webhooks", "enable", endpoint_id).code == 1
    (state,) = fleet("webhooks", "list", "--state", "disabled", "--json").json
    assert state["state_reason"] == "their wish"

    receiving.script = lambda _request: OK
    assert fleet("webhooks", "enable", endpoint_id).code == 0
    assert {one["state"] for one in fleet("webhooks", "list", "--json").json} == {"enabled"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--url", "http://hooks.example.com/"), "https on port 443"),
        (("--url", "https://localhost/"), "full domain name"),
        (("--url", "https://[::1]/"), "not an address"),
        (("--url", "https://hooks.example.com:22/"), "port 443"),
        (
            ("--url", "https://h.example.com", "--types", "analytics.update"),
            "did you mean analytics.updated",
        ),
    ],
)
def test_wrong_url_or_type_is_a_usage_error(fleet: Dravo, arguments: tuple[str, ...], sentence: str) -> None:
    refused = fleet("webhooks", "add", "--workspace", "ws_1", *arguments)

    assert refused.code == 2
    assert sentence in refused.err
    assert len(refused.err.splitlines()) == 1


def test_rotation_prints_a_new_secret_once(fleet: Dravo, endpoint: str) -> None:
    first = fleet("webhooks", "rotate", endpoint, "--json").json["secret"]
    second = fleet("webhooks", "rotate", endpoint, "--overlap", "0s", "--json").json["secret"]

    assert (first[:6], second[:6], first != second) == ("whsec_", "whsec_", True)
    assert fleet("webhooks", "rotate", endpoint, "--overlap", "8d").code == 2
    assert fleet("webhooks", "rotate", endpoint, "--overlap", "7d").code == 0
    for filters, number in (
        (("--workspace", "ws_1", "--state", "enabled"), 1),
        (("--workspace", "ws_2"), 0),
        (("--state", "failing"), 0),
    ):
        assert len(fleet("webhooks", "list", *filters, "--json").json) == number


def test_redelivery_goes_back_to_an_instant(fleet: Dravo, endpoint: str, sql: Any) -> None:
    assert fleet("webhooks", "redeliver", endpoint).code == 2
    assert fleet("webhooks", "redeliver", endpoint, "--delivery", "1").code == 1
    assert fleet("webhooks", "redeliver", endpoint, "--since", "2999-01-01").code == 1
    sql("UPDATE webhook_endpoints SET changed_in = '99'")

    assert fleet("webhooks", "redeliver", endpoint, "--since", "2020-01-01").code == 0

    ((redelivery, behind),) = sql(
        "SELECT e.redelivery, (SELECT count(*) FROM changes c WHERE c.workspace_id = 'ws_1'"
        " AND (c.changed_in, c.publication_id) > (e.changed_in, e.changed_key)) FROM webhook_endpoints e"
    )
    ((of_workspace,),) = sql("SELECT count(*) FROM changes WHERE workspace_id = 'ws_1'")
    assert (redelivery, behind) == (1, of_workspace)


def test_log_is_listed_and_removal_wants_a_yes(fleet: Dravo, endpoint: str, sql: Any) -> None:
    sql(
        "INSERT INTO webhook_deliveries (endpoint_id, workspace_id, type, message_id, rows, attempt, outcome,"
        " seconds) VALUES ('whe_1', 'ws_1', 'analytics.updated', 'msg_0', 3, 1, 'timeout', 15),"
        " ('whe_1', 'ws_1', 'analytics.updated', 'msg_1', 3, 1, 'timeout', 15),"
        " ('whe_1', 'ws_1', 'analytics.updated', 'msg_2', 1, 1, 'delivered', 1)"
    )
    for options, messages in (((), ["msg_2", "msg_1", "msg_0"]), (("--failed", "--limit", "1"), ["msg_1"])):
        log = fleet("webhooks", "deliveries", endpoint, *options, "--json").json["deliveries"]
        assert [one["message_id"] for one in log] == messages
    listed = fleet("webhooks", "deliveries", endpoint, "--failed", "--json").json
    assert [(one["outcome"], one["rows"]) for one in listed["deliveries"]] == [("timeout", 3)] * 2
    assert listed["refused_rows"] == []
    assert "timeout" in fleet("webhooks", "deliveries", endpoint).out

    assert fleet("webhooks", "remove", endpoint).code == 2
    assert fleet("webhooks", "remove", endpoint, "--yes").code == 0
    assert fleet("webhooks", "deliveries", endpoint).code == 1
    assert [one["act"] for one in fleet("audit-log", "--json").json] == ["webhooks remove"]


def test_workspace_has_five_endpoints_at_most(fleet: Dravo, receiving: Receiver, sql: Any) -> None:
    sql(
        "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret)"
        " SELECT 'whe_' || n, 'ws_1', '', '', '' FROM generate_series(1, 5) n"
    )

    refused = fleet("webhooks", "add", "--workspace", "ws_1", "--url", receiving.url)

    assert (refused.code, "5 endpoints" in refused.err) == (1, True)
