"""The table of the Graph API's errors, and the facts that are parsed from messages."""

import pytest

from tests.worker.adapters.meta.graph_harness import error
from worker.adapters.meta.errors import Meaning, may_be_few_viewers, named_metrics, refusal

METRICS = ("views", "reach", "likes", "comments", "shares", "saved", "total_interactions")
GONE = (
    "Unsupported get request. Object with ID '1' does not exist, cannot be loaded due to missing permissions"
)
TABLE: list[tuple[int, object, Meaning, str]] = [
    (200, None, Meaning.TRANSIENT, "no JSON"),
    (502, None, Meaning.TRANSIENT, "no JSON with a 5xx"),
    (302, {}, Meaning.TRANSIENT, "a redirect"),
    (429, None, Meaning.LIMITED, "an empty 429"),
    (403, error(4, is_transient=True), Meaning.LIMITED, "a limit comes before its transient flag"),
    *((400, error(code), Meaning.LIMITED, f"limit {code}") for code in (17, 32, 341, 613, 80000, 80014)),
    (400, error(80015), Meaning.OTHER, "no limit"),
    (400, error(4, error_subcode=2108006), Meaning.PRE_BUSINESS, "not a limit with this subcode"),
    (400, error(190), Meaning.DEAD_TOKEN, "a bad token"),
    (401, error(102), Meaning.DEAD_TOKEN, "a bad session"),
    *((400, error(1, error_subcode=sub), Meaning.DEAD_TOKEN, f"subcode {sub}") for sub in (458, 463, 492)),
    (400, error(100, "Invalid appsecret_proof provided"), Meaning.MISCONFIGURED, "a wrong proof"),
    (400, error(2500, "Unknown path components"), Meaning.MISCONFIGURED, "an unknown version"),
    (400, error(100, "…", error_subcode=2108006), Meaning.PRE_BUSINESS, "before conversion, any language"),
    (400, error(10, "(#10) Not enough viewers for the media"), Meaning.FEW_VIEWERS, "few viewers"),
    (400, error(10, "(#10) Application does not have permission"), Meaning.DENIED, "no permission"),
    (400, error(100, "metric[2] must be one of the following values: a"), Meaning.UNSUPPORTED_METRIC, "i"),
    (400, error(100, "(#100) The value must be a valid insights metric"), Meaning.UNSUPPORTED_METRIC, "ii"),
    (
        400,
        error(100, "The API does not support the saved, likes metric for this media product type."),
        Meaning.UNSUPPORTED_METRIC,
        "iii",
    ),
    (400, error(3001, error_subcode=1504028), Meaning.UNSUPPORTED_METRIC, "no metric"),
    (400, error(100, GONE, error_subcode=33), Meaning.MISSING, "deleted"),
    (400, error(100, GONE, error_subcode=33, is_transient=True), Meaning.TRANSIENT, "said to be passing"),
    (400, error(803, "Some of the aliases do not exist: 1"), Meaning.MISSING, "unknown alias"),
    (404, {}, Meaning.MISSING, "a bare 404"),
    (
        400,
        error(100, "Tried accessing nonexisting field (insights) on node type (Video)"),
        Meaning.WRONG_NODE,
        "",
    ),
    (400, error(100, "Tried accessing nonexisting field (x) on node type (Video)"), Meaning.OTHER, "a field"),
    (400, error(100, "Invalid parameter"), Meaning.OTHER, "a parameter"),
    (403, error(200, "read_insights permission missing"), Meaning.DENIED, "a scope"),
    (403, error(299), Meaning.DENIED, "the last of the permission codes"),
    (400, error(3), Meaning.DENIED, "a capability"),
    (400, error(368), Meaning.BLOCKED, "a block"),
    (500, error(1, "Please reduce the amount of data you're asking for"), Meaning.TOO_LARGE, "too much"),
    (500, error(2), Meaning.TRANSIENT, "their trouble"),
    (400, error(-1), Meaning.TRANSIENT, "their trouble"),
    (400, error(None, is_transient=True), Meaning.TRANSIENT, "no code"),
    (503, error(77777), Meaning.TRANSIENT, "a 5xx"),
    (400, error(9009), Meaning.RESTRICTED, "restricted"),
    (400, error(77777), Meaning.OTHER, "unheard of"),
    (200, error(190), Meaning.DEAD_TOKEN, "an error in a 200"),
    (400, {"error": "text"}, Meaning.OTHER, "an odd envelope"),
    (400, {"error": {"code": True, "message": 5, "error_subcode": "33"}}, Meaning.OTHER, "wrong types"),
    (400, [], Meaning.OTHER, "a list"),
]


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [row[:3] for row in TABLE],
    ids=[f"{row[2].name}: {row[3]}" for row in TABLE],
)
def test_each_error_has_its_meaning(status: int, body: object, meaning: Meaning) -> None:
    result = refusal(status, body)

    assert result is not None
    assert result.meaning is meaning


@pytest.mark.parametrize("body", [{}, {"data": []}, {"error": None}, []])
def test_success_is_no_refusal(body: object) -> None:
    assert refusal(200, body) is None


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (f"(#100) metric[2] must be one of the following values: {', '.join(METRICS)}", {"likes"}),
        (f"metric[0] must be one of the following values: {', '.join(METRICS[1:])}", {"views"}),
        ("metric[9] must be one of the following values: views", set()),
        ("does not support the saved, likes metric for this media product type", {"saved", "likes"}),
        ("does not support the plays metric for this media product type", set()),
        ("(#100) The value must be a valid insights metric", set()),
    ],
)
def test_rejected_metric_is_found_by_index_or_name(message: str, named: set[str]) -> None:
    result = refusal(400, error(100, message))

    assert result is not None
    assert named_metrics(result, METRICS) == named


@pytest.mark.parametrize(
    ("code", "message", "few"),
    [
        (10, "(#10) Not enough viewers", True),
        (10, "(#10) Espectadores insuficientes", True),
        (10, "(#10) Exige instagram_manage_insights", False),
        (10, "(#10) Application does not have permission", False),
        (200, "(#200) Espectadores insuficientes", False),
    ],
)
def test_refusal_in_another_language_may_mean_few_viewers(code: int, message: str, *, few: bool) -> None:
    refused = refusal(400, error(code, message))

    assert refused is not None
    assert may_be_few_viewers(refused) is few
