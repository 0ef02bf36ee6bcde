"""The OpenAPI document matches the service: every route, every status, every field."""

from typing import Any

import jsonschema_rs
import pytest

from api_stub.app import ROUTES
from api_stub.docs.openapi import DOCUMENT
from api_stub.docs.schemas import SCHEMAS
from tests.api_stub.support import POSTS, Api


def conforms(body: Any, name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema_rs.validate(schema, body)


def test_every_route_is_described_and_nothing_else() -> None:
    served = {
        (route.path, method.lower())
        for route in ROUTES
        for method in (route.methods or ())
        if method != "HEAD"
    }

    assert {(path, method) for path, one in DOCUMENT["paths"].items() for method in one} == served


@pytest.mark.parametrize("name", [name for name in SCHEMAS if "example" in SCHEMAS[name]])
def test_examples_match_their_schemas(name: str) -> None:
    conforms(SCHEMAS[name]["example"], name)


def test_responses_match_their_schemas(api: Api) -> None:
    api.rows.publication(post_id="post_1")
    api.rows.publication(
        analytics={
            "sync_status": "partial",
            "metrics": {"share_statistics_engagement": 0.25},
            "warnings": ["metric_unavailable: reach is no longer offered"],
            "last_updated_at": None,
        }
    )

    conforms(api.posts(), "Page")
    conforms(api.get(f"{POSTS}/post_1/history").json(), "History")
    api.rows.execute("DELETE FROM publications WHERE post_id = 'post_1'")
    changes = api.get("/v1/analytics/changes").json()
    assert [one["type"] for one in changes["changes"]] == [
        "account.active",
        "analytics.updated",
        "analytics.deleted",
    ]
    conforms(changes, "Changes")
    for refusal in (api.get(f"{POSTS}?page=0"), api.get("/nowhere"), api.get(headers={"Authorization": ""})):
        conforms(refusal.json(), "Error")
    conforms(api.get("/healthz").json(), "Health")


def test_document_and_the_page_are_served_to_everybody(api: Api) -> None:
    document = api.get("/openapi.json", headers={"Authorization": ""})
    page = api.get("/docs", headers={"Authorization": ""})

    assert document.json() == DOCUMENT
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<script" not in page.text
    assert all(path in page.text for path in DOCUMENT["paths"])


def test_every_operation_lists_its_credentials_and_failures() -> None:
    for path in (POSTS, f"{POSTS}/{{post_id}}/history", "/v1/analytics/changes"):
        operation = DOCUMENT["paths"][path]["get"]
        assert [next(iter(one)) for one in operation["security"]] == ["apiKey", "dashboardToken"]
        assert {"200", "400", "401", "500", "503"} <= set(operation["responses"])


def test_request_id_is_accepted_and_returned(api: Api) -> None:
    assert api.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    invented = api.get("/healthz", headers={"X-Request-ID": "not a valid id"}).headers["X-Request-ID"]
    assert len(invented) == 16


def test_metrics_count_requests_by_route(api: Api) -> None:
    api.posts()

    metrics = api.get("/metrics").text

    assert 'dravo_api_requests_total{method="GET",route="/v1/analytics/posts",status="200"}' in metrics


def test_missing_schema_is_alive_but_not_ready(api: Api) -> None:
    api.rows.execute("ALTER TABLE publications RENAME TO elsewhere")

    ready = api.get("/readyz")

    assert ready.status_code == 503
    assert ready.json()["error"]["request_id"] == ready.headers["X-Request-ID"]
    assert api.get("/healthz").status_code == 200
