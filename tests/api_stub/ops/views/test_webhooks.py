"""The page of webhook endpoints: failing ones first, with since when, why and how far behind."""

from tests.api_stub.ops.conftest import Ops


def add(ops: Ops, endpoint_id: str, **columns: object) -> None:
    ops.rows.insert(
        "webhook_endpoints",
        {
            "endpoint_id": endpoint_id,
            "workspace_id": "ws_1",
            "url": f"https://{endpoint_id}.example.com/in?key=of-theirs",
            "host": "h",
            "sealed_secret": "sealed",
            **columns,
        },
    )


def test_failing_endpoints_come_first_and_no_query_is_shown(ops: Ops) -> None:
    ops.rows.publication()
    assert "There are no endpoints" in ops.get("/ops/webhooks").text
    assert "Webhooks failing" not in ops.get("/ops").text
    add(ops, "one")
    add(ops, "two", failing_since="2026-01-01T00:00:00Z", failure="status 503")
    add(ops, "three", state="disabled", state_reason="The receiver answered 410 Gone.")

    page = ops.get("/ops/webhooks").text

    assert page.index("two.example.com") < page.index("one.example.com")
    assert "status 503" in page
    assert "410 Gone" in page
    assert "of-theirs" not in page
    assert "Webhooks failing" in ops.get("/ops").text
    assert "three.example.com" not in ops.get("/ops/webhooks?workspace=ws_2").text


def test_disabled_endpoint_is_enabled_and_the_act_is_recorded(ops: Ops) -> None:
    add(ops, "one", state="disabled", state_reason="The receiver answered 410 Gone.")
    add(ops, "two")
    assert ops.get("/ops/webhooks").text.count("/ops/enable-webhook") == 1

    assert ops.send("/ops/enable-webhook", endpoint="one").headers["location"] == "/ops/webhooks"

    ((state, due),) = ops.rows.execute(
        "SELECT state, next_run_at <= now() FROM webhook_endpoints WHERE endpoint_id = 'one'"
    )
    assert (state, due) == ("enabled", True)
    ((action, subject),) = ops.rows.execute("SELECT act, subject FROM operator_acts")
    assert (action, subject["endpoint_id"]) == ("webhooks enable", "one")
    refused = ops.send("/ops/enable-webhook", endpoint="none")
    assert (refused.status_code, "no endpoint has the id none" in refused.text) == (400, True)
