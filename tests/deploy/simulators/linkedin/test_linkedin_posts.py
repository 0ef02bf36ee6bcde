"""Members' analytics and posts of the simulated LinkedIn."""

from typing import Any

import pytest

from deploy.simulators.linkedin.linkedin import LinkedIn
from deploy.simulators.request_log import note_of
from deploy.simulators.world import World
from tests.deploy.simulators.linkedin.harness import (
    AGED,
    DELETED,
    FOREIGN,
    MEMBER,
    MINE,
    MINE_SHARE,
    ORG,
    QUIET,
    SCOPES,
    SHARE,
    UGC,
    analytics,
    code,
    encoded,
    get,
    listed,
    statistics,
)

# Analytics of members


def test_member_analytics_return_one_metric_a_call(linkedin: LinkedIn) -> None:
    values = {
        metric: analytics(linkedin, f"(ugc:{encoded(MINE)})", metric).json()["elements"][0]["count"]
        for metric in ("IMPRESSION", "MEMBERS_REACHED", "RESHARE", "REACTION", "COMMENT", "LINK_CLICKS")
    }

    assert list(values.values()) == [5287, 3000, 5, 14, 24, 78]


def test_metric_type_is_an_object_before_202605(linkedin: LinkedIn) -> None:
    entity = f"(ugc:{encoded(MINE)})"

    (before,) = analytics(linkedin, entity, LinkedIn_Version="202604").json()["elements"]
    (after,) = analytics(linkedin, entity, LinkedIn_Version="202605").json()["elements"]

    assert list(before["metricType"].values()) == ["IMPRESSION"]
    assert after["metricType"] == "IMPRESSION"


def test_newer_metrics_require_a_newer_version(linkedin: LinkedIn) -> None:
    entity = f"(ugc:{encoded(MINE)})"

    assert code(analytics(linkedin, entity, "POST_SAVE", LinkedIn_Version="202603")) == (
        400,
        "ILLEGAL_ARGUMENT",
    )
    assert analytics(linkedin, entity, "POST_SAVE").status_code == 200
    assert code(analytics(linkedin, entity, "IMPRESSIONS")) == (400, "ILLEGAL_ARGUMENT")


def test_post_without_activity_has_no_elements(linkedin: LinkedIn) -> None:
    assert analytics(linkedin, f"(share:{encoded(MINE_SHARE)})").json()["elements"] == []


@pytest.mark.parametrize(
    "entity",
    [
        f"(ugcPost:{encoded(MINE)})",
        f"(share:{encoded(MINE)})",
        f"(ugc:{MINE})",
        encoded(MINE),
        f"%28ugc%3A{encoded(MINE)}%29",
    ],
)
def test_malformed_entity_is_refused(linkedin: LinkedIn, entity: str) -> None:
    assert code(analytics(linkedin, entity)) == (400, "ILLEGAL_ARGUMENT")


def test_member_analytics_require_ownership_and_scope(linkedin: LinkedIn, world: World) -> None:
    assert code(analytics(linkedin, f"(share:{encoded(FOREIGN)})")) == (403, "ACCESS_DENIED")
    assert code(analytics(linkedin, f"(share:{encoded('urn:li:share:1')})")) == (404, "NOT_FOUND")

    world.change_account("linkedin", MEMBER, scopes=frozenset({"r_member_social"}))

    for urn in (MINE, "urn:li:ugcPost:1"):
        assert code(analytics(linkedin, f"(ugc:{encoded(urn)})")) == (403, "ACCESS_DENIED")


def test_page_token_cannot_read_a_members_post(linkedin: LinkedIn, world: World) -> None:
    world.change_account("linkedin", ORG, scopes=SCOPES | {"r_member_postAnalytics"})

    assert code(analytics(linkedin, f"(share:{encoded(SHARE)})", by="page-token")) == (403, "ACCESS_DENIED")


@pytest.mark.parametrize("change", [("q=entity", "q=me"), ("TOTAL", "DAILY")])
def test_unsupported_finder_or_aggregation_is_refused(linkedin: LinkedIn, change: tuple[str, str]) -> None:
    entity = f"(ugc:{encoded(MINE)})"
    target = f"/rest/memberCreatorPostAnalytics?q=entity&entity={entity}&queryType=COMMENT&aggregation=TOTAL"

    assert code(get(linkedin, target.replace(*change), "member-token")) == (400, "ILLEGAL_ARGUMENT")


def test_absent_metric_of_a_members_post_is_omitted(linkedin: LinkedIn, world: World) -> None:
    world.change_post("linkedin", MINE, absent_metrics=frozenset({"COMMENT"}))

    assert analytics(linkedin, f"(ugc:{encoded(MINE)})", "COMMENT").json()["elements"] == []


# Posts


@pytest.mark.parametrize("urn", [SHARE, QUIET, AGED])
def test_lookup_returns_posts_with_and_without_statistics(linkedin: LinkedIn, urn: str) -> None:
    body = get(linkedin, f"/rest/posts/{encoded(urn)}").json()

    assert (body["id"], body["author"]) == (urn, f"urn:li:organization:{ORG}")
    assert body["lifecycleState"] == "PUBLISHED"


@pytest.mark.parametrize(
    ("urn", "expected"),
    [
        (encoded(DELETED), (404, "NOT_FOUND")),
        (encoded("urn:li:share:1"), (404, "NOT_FOUND")),
        (encoded(FOREIGN), (403, "ACCESS_DENIED")),
        (SHARE, (400, "ILLEGAL_ARGUMENT")),
    ],
)
def test_lookup_of_an_unavailable_post_is_an_error(
    linkedin: LinkedIn, urn: str, expected: tuple[int, str]
) -> None:
    assert code(get(linkedin, f"/rest/posts/{urn}")) == expected


def test_batch_lookup_returns_results_and_errors(linkedin: LinkedIn) -> None:
    body = get(linkedin, f"/rest/posts?ids={listed(SHARE, DELETED, FOREIGN)}").json()

    assert set(body["results"]) == {SHARE}
    assert body["statuses"] == {SHARE: 200, DELETED: 404, FOREIGN: 403}
    assert body["errors"][DELETED]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("changes", [{"scopes": frozenset({"rw_organization_admin"})}, {"role_lost": True}])
def test_lookup_requires_scope_and_role(linkedin: LinkedIn, world: World, changes: dict[str, Any]) -> None:
    world.change_account("linkedin", ORG, **changes)

    assert code(get(linkedin, f"/rest/posts/{encoded(SHARE)}")) == (403, "ACCESS_DENIED")


def test_member_can_look_up_own_posts(linkedin: LinkedIn) -> None:
    body = get(linkedin, f"/rest/posts/{encoded(MINE)}", "member-token").json()

    assert body["author"] == f"urn:li:person:{MEMBER}"


def test_request_log_names_endpoint_and_ids(linkedin: LinkedIn) -> None:
    said = note_of(statistics(linkedin, SHARE, UGC))

    assert (said.endpoint, said.ids) == ("organizationalEntityShareStatistics", (SHARE, UGC))


def test_lookup_without_scope_does_not_reveal_existence(linkedin: LinkedIn, world: World) -> None:
    world.change_account("linkedin", ORG, scopes=frozenset())

    assert code(get(linkedin, f"/rest/posts/{encoded('urn:li:share:1')}")) == (403, "ACCESS_DENIED")


def test_unknown_resource_is_a_404(linkedin: LinkedIn) -> None:
    assert code(get(linkedin, "/rest/shares")) == (404, "RESOURCE_NOT_FOUND")
