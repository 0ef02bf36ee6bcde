"""The OpenAPI document matches the service: every route, every status, every field, every code."""

import ast
import gzip
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from api_stub.app import ROUTES
from api_stub.docs import guide
from api_stub.docs.openapi import DOCUMENT
from api_stub.docs.schemas import SCHEMAS
from shared.vocabulary import Platform, WarningCode
from tests.api_stub.support import POSTS, Api
from worker.adapters import tiktok
from worker.adapters.linkedin import linkedin
from worker.adapters.meta import metrics as meta
from worker.adapters.x import x

STATIC = Path(guide.__file__).parent / "static"


def closed(schema: Any) -> Any:
    """Return a schema in which no object may have fields that it does not name.

    The published schemas are open, so that a new field breaks no generated client; the service must name all.
    """
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {name: closed(value) for name, value in schema.items()}
    return {"additionalProperties": False, **copy} if "properties" in schema else copy


def conforms(body: Any, name: str) -> None:
    components = {"schemas": {one: closed(schema) for one, schema in SCHEMAS.items()}}
    jsonschema_rs.validate({"$ref": f"#/components/schemas/{name}", "components": components}, body)


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


def test_new_fields_break_no_generated_client() -> None:
    assert "additionalProperties': False" not in str(SCHEMAS)
    warning = SCHEMAS["Item"]["properties"]["warnings"]["items"]
    assert jsonschema_rs.is_valid(warning, "a_code_of_tomorrow: A sentence.")


def test_operations_have_a_tag_that_is_described_and_samples_have_a_server() -> None:
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}

    assert described == {tag for operation in operations() for tag in operation["tags"]}
    assert DOCUMENT["servers"][0]["url"] == "/"


def test_every_parameter_has_an_example_that_its_schema_allows() -> None:
    for operation in operations():
        for parameter in operation.get("parameters", ()):
            assert jsonschema_rs.is_valid(parameter["schema"], parameter["example"]), parameter["name"]


def operations() -> Iterator[dict[str, Any]]:
    """Return every operation of the document."""
    return (operation for methods in DOCUMENT["paths"].values() for operation in methods.values())


def test_document_reference_and_index_are_served_to_everybody(api: Api) -> None:
    def get(path: str, **headers: str) -> Any:
        return api.get(path, headers={"Authorization": "", **headers})

    page = get("/docs")
    addresses = re.findall(r'src="(/docs/[^"]+)"', page.text)

    assert get("/openapi.json").json() == DOCUMENT
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "'unsafe-eval'" not in page.headers["Content-Security-Policy"]
    assert len(addresses) == 2
    for address in addresses:
        assert get(address).headers["Content-Encoding"] == "gzip"
        assert get(address, **{"Accept-Encoding": "identity"}).content == get(address).content
    assert get("/docs/another-version/scalar.js").status_code == 404
    assert all(path in get("/llms.txt").text for path in DOCUMENT["paths"])
    assert all(get(target).status_code == 200 for target in re.findall(r'href="(/[^"]*)"', get("/").text))


def test_vendored_script_is_the_one_that_its_readme_names() -> None:
    readme = (STATIC / "README.md").read_text()
    compressed = (STATIC / "scalar.js.gz").read_bytes()

    assert sha256(compressed).hexdigest() in readme
    assert sha256(gzip.decompress(compressed)).hexdigest() in readme


def test_reference_lists_every_warning_code_error_code_and_metric() -> None:
    raised = {
        code for path in STATIC.parents[1].rglob("*.py") for code in error_codes(ast.parse(path.read_text()))
    }
    text = DOCUMENT["info"]["description"]

    assert guide.WARNINGS.keys() == set(WarningCode)
    assert guide.ERRORS.keys() == raised
    assert {
        Platform.INSTAGRAM: meta.INSTAGRAM,
        Platform.FACEBOOK: meta.FACEBOOK,
        Platform.X: x.PUBLIC,
        Platform.LINKEDIN: (*linkedin.COUNTS.values(), linkedin.PREFIX + linkedin.RATIO),
        Platform.TIKTOK: tiktok.METRICS,
    } == guide.METRICS
    for name in (*guide.WARNINGS, *guide.ERRORS, *(key for keys in guide.METRICS.values() for key in keys)):
        assert f"`{name}`" in text


def error_codes(module: ast.Module) -> Iterator[str]:
    """Return the codes of the errors that a module raises."""
    place = {"ApiError": 1, "unavailable": 0, "error_body": 0}
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in place:
            code = node.args[place[node.func.id]]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                yield code.value


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
