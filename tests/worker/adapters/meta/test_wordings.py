"""Answers of the Graph API as others recorded them, verbatim, and the meaning of each.

Sources: public issue threads, test data of other clients and outage reports, most of them of 2026.
"""

import pytest

from tests.worker.adapters.meta.graph_harness import error
from worker.adapters.meta.errors import Meaning, named_metrics, named_scope, refusal

BLOCKED = "API access blocked."
DEACTIVATED = "API access deactivated. To regain access, go to your app dashboard"
NO_FIELD = "(#100) Tried accessing nonexisting field (insights)"
NO_SCOPE = (
    "(#100) Object does not exist, cannot be loaded due to missing permission or reviewable feature, or does "
    "not support this operation. This endpoint requires the 'pages_read_engagement' permission or the 'Page "
    "Public Content Access' feature or the 'Page Public Metadata Access' feature."
)
RETIRED = (
    "(#100) Starting from version v22.0 and above, the {} metric is no longer supported for the queried media"
)
ON_BEHALF = "Cannot call API for app 1598568711343805 on behalf of user 122097657423468264"
NOT_ALLOWED = "(#10) Application does not have permission for this action"
JAPANESE = (
    "このメディアは、ユーザーのアカウントが個人アカウントからビジネスアカウントに"
    "最後に変換された時点より前に投稿されました。"
)
UNSUPPORTED = Meaning.UNSUPPORTED_METRIC
RECORDED: list[tuple[int, int, str, int | None, Meaning]] = [
    # Our application, not the account: nobody is asked to reconnect.
    (400, 200, BLOCKED, None, Meaning.MISCONFIGURED),
    (200, 200, BLOCKED, None, Meaning.MISCONFIGURED),
    (403, 200, f"(#200) {BLOCKED}", None, Meaning.MISCONFIGURED),
    (400, 200, DEACTIVATED, None, Meaning.MISCONFIGURED),
    (200, 200, DEACTIVATED, None, Meaning.MISCONFIGURED),
    (400, 200, "(#200) Provide valid app ID", None, Meaning.MISCONFIGURED),
    (
        400,
        190,
        "Error validating application. Application has been deleted.",
        None,
        Meaning.MISCONFIGURED,
    ),
    (400, 190, "Error validating application. Invalid application ID.", None, Meaning.MISCONFIGURED),
    (400, 101, "Error validating application. Invalid application ID.", None, Meaning.MISCONFIGURED),
    (400, 5, "(#5) Unauthorized source IP address", None, Meaning.MISCONFIGURED),
    (
        400,
        3,
        "(#3) Application does not have the capability to make this API call.",
        None,
        Meaning.MISCONFIGURED,
    ),
    (400, 12, "(#12) This API version is deprecated", None, Meaning.MISCONFIGURED),
    (
        400,
        100,
        "(#100) Pages Public Content Access requires either app secret proof or an app token",
        None,
        Meaning.MISCONFIGURED,
    ),
    (400, 100, "Invalid appsecret_proof provided in the API argument", None, Meaning.MISCONFIGURED),
    (400, 1, "API calls from the server require an appsecret_proof argument", None, Meaning.MISCONFIGURED),
    # The account's authorization.
    (
        400,
        190,
        "Error validating access token: The user has not authorized application 123.",
        458,
        Meaning.DEAD_TOKEN,
    ),
    (400, 100, NO_SCOPE, None, Meaning.DENIED),
    (400, 100, NO_SCOPE, 33, Meaning.DENIED),
    (403, 10, NO_SCOPE.replace("#100", "#10"), None, Meaning.DENIED),
    (400, 10, ON_BEHALF, None, Meaning.DENIED),
    (400, 200, ON_BEHALF, None, Meaning.DENIED),
    (403, 10, NOT_ALLOWED, None, Meaning.DENIED),
    (403, 200, "(#200) read_insights permission missing", None, Meaning.DENIED),
    # The object.
    (400, 100, NO_FIELD, None, Meaning.WRONG_NODE),
    (400, 100, f"{NO_FIELD} on node type (Video)", None, Meaning.WRONG_NODE),
    (400, 100, "Tentativa de acessar um campo inexistente (insights)", None, Meaning.WRONG_NODE),
    (400, 33, "(#33) This object does not exist or does not support this action", None, Meaning.MISSING),
    (400, 33, "(#33) Este objeto não existe", None, Meaning.MISSING),
    (400, 100, "Solicitação get não compatível.", 33, Meaning.MISSING),
    (400, 100, "Parâmetro inválido", 2108006, Meaning.PRE_BUSINESS),
    (400, 100, JAPANESE, 2108006, Meaning.PRE_BUSINESS),
    (400, 10, "(#10) Not enough viewers for the media to show insights", None, Meaning.FEW_VIEWERS),
    (400, 10, "(#10) Não há visualizadores suficientes para mostrar insights", None, Meaning.DENIED),
    # A metric.
    (400, 100, RETIRED.format("impressions"), None, UNSUPPORTED),
    (400, 100, RETIRED.format("saved"), None, UNSUPPORTED),
    (400, 100, "(#100) The metric shares is not supported for this media type", None, UNSUPPORTED),
    (400, 100, "(#100) The metric ig_reels_avg_watch_time is not supported", None, UNSUPPORTED),
    (400, 100, "A métrica shares não é compatível com este tipo de mídia", None, UNSUPPORTED),
    (400, 100, "metric[2] muss einer der folgenden Werte sein: reach, saved", None, UNSUPPORTED),
    # Neither: their text may hold a word of ours.
    (400, 100, "(#100) Invalid parameter", None, Meaning.OTHER),
    (400, 100, "(#100) Param limit is reached", None, Meaning.OTHER),
    (400, 100, "Param views must be a number", 2207086, Meaning.OTHER),
]


@pytest.mark.parametrize(
    ("status", "code", "message", "subcode", "meaning"),
    RECORDED,
    ids=[f"{row[4].name}-{row[0]}-{row[1]}-{row[2][:40]}" for row in RECORDED],
)
def test_recorded_answer_has_its_meaning(
    status: int, code: int, message: str, subcode: int | None, meaning: Meaning
) -> None:
    result = refusal(status, error(code, message, **({"error_subcode": subcode} if subcode else {})))

    assert result is not None
    assert result.meaning is meaning


METRICS = ("views", "reach", "likes", "comments", "shares", "saved", "total_interactions")


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (RETIRED.format("saved"), {"saved"}),
        (RETIRED.format("impressions"), set()),
        ("(#100) The metric shares is not supported for this media type", {"shares"}),
        ("(#100) The metrics saved, likes are not supported for this media type", {"saved", "likes"}),
        ("A métrica shares não é compatível com este tipo de mídia", {"shares"}),
        ("metric[1] muss einer der folgenden Werte sein: views, likes", {"reach"}),
        # Several, in no form that we know: perhaps the good ones, so it is found by asking.
        ("As métricas views e likes: valores permitidos", set()),
    ],
)
def test_rejected_metric_is_found_in_any_language(message: str, named: set[str]) -> None:
    result = refusal(400, error(100, message))

    assert result is not None
    assert named_metrics(result, METRICS) == named


@pytest.mark.parametrize(
    ("message", "scope"),
    [
        (NO_SCOPE, "pages_read_engagement"),
        (ON_BEHALF, None),
        (NOT_ALLOWED, None),
        ("(#10) requires instagram_business_manage_insights", "instagram_business_manage_insights"),
    ],
)
def test_scope_is_named_only_if_the_message_names_it(message: str, scope: str | None) -> None:
    result = refusal(400, error(10, message))

    assert result is not None
    assert named_scope(result) == scope
