"""Statistics of organizations' posts in the simulated LinkedIn."""

from datetime import timedelta

import pytest

from deploy.simulators.behaviour import Behaviour, Conditions
from deploy.simulators.linkedin.linkedin import LinkedIn
from deploy.simulators.world import Post, World
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.linkedin.harness import (
    AGED,
    DELETED,
    FOREIGN,
    ORG,
    OTHER,
    QUIET,
    SHARE,
    UGC,
    code,
    encoded,
    get,
    statistics,
)


def test_one_call_returns_posts_of_both_kinds(linkedin: LinkedIn) -> None:
    response = statistics(linkedin, SHARE, UGC)

    elements = {one.get("share") or one["ugcPost"]: one for one in response.json()["elements"]}
    assert set(elements) == {SHARE, UGC}
    assert elements[SHARE]["organizationalEntity"] == f"urn:li:organization:{ORG}"
    totals = elements[SHARE]["totalShareStatistics"]
    assert totals.pop("engagement") == pytest.approx(0.0228863, abs=1e-7)
    assert totals == {
        "impressionCount": 5287,
        "uniqueImpressionsCount": 3000,
        "clickCount": 78,
        "likeCount": 14,
        "commentCount": 24,
        "shareCount": 5,
    }
    assert response.headers["x-li-uuid"]


@pytest.mark.parametrize("urn", [QUIET, AGED, DELETED, FOREIGN, "urn:li:share:1"])
def test_post_without_statistics_is_omitted(linkedin: LinkedIn, urn: str) -> None:
    response = statistics(linkedin, SHARE, urn)

    assert [one["share"] for one in response.json()["elements"]] == [SHARE]


def test_new_post_is_omitted_until_it_has_activity(linkedin: LinkedIn, world: World, clock: Clock) -> None:
    world.add_posts([Post("linkedin", "urn:li:share:1", ORG, clock.now)])
    assert statistics(linkedin, "urn:li:share:1").json()["elements"] == []

    clock.now += timedelta(hours=6)

    assert len(statistics(linkedin, "urn:li:share:1").json()["elements"]) == 1


def test_one_foreign_post_can_refuse_the_whole_call(linkedin: LinkedIn, behaviour: Behaviour) -> None:
    behaviour.set_conditions(Conditions(foreign_refused=True))

    assert code(statistics(linkedin, SHARE, FOREIGN)) == (403, "ACCESS_DENIED")
    assert statistics(linkedin, SHARE, DELETED).status_code == 200
    assert statistics(linkedin).status_code == 200


def test_absent_statistic_is_omitted(linkedin: LinkedIn, world: World) -> None:
    world.change_post("linkedin", SHARE, absent_metrics=frozenset({"clickCount"}))

    assert "clickCount" not in statistics(linkedin, SHARE).json()["elements"][0]["totalShareStatistics"]


def test_lookup_without_posts_returns_the_organization_totals(linkedin: LinkedIn, world: World) -> None:
    world.change_post("linkedin", UGC, no_data=True)

    (element,) = statistics(linkedin).json()["elements"]

    assert element["totalShareStatistics"]["impressionCount"] == 5287
    assert not {"share", "ugcPost"} & set(element)


@pytest.mark.parametrize("how", ["role", "scope", "foreign"])
def test_valid_token_without_role_or_scope_is_refused(linkedin: LinkedIn, world: World, how: str) -> None:
    if how == "role":
        world.change_account("linkedin", ORG, role_lost=True)
    elif how == "scope":
        world.change_account("linkedin", ORG, scopes=frozenset({"r_organization_social"}))
    org = OTHER if how == "foreign" else ORG

    for response in (statistics(linkedin, SHARE, org=org), statistics(linkedin, org=org)):
        assert code(response) == (403, "ACCESS_DENIED")
        assert response.json()["serviceErrorCode"] == 100


def test_token_gives_access_to_every_page_of_its_member(linkedin: LinkedIn, world: World) -> None:
    world.change_account("linkedin", OTHER, access_token="page-token")

    assert len(statistics(linkedin, FOREIGN, org=OTHER).json()["elements"]) == 1
    assert len(statistics(linkedin, SHARE).json()["elements"]) == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"&shares=List%28{encoded(SHARE)}%29", (400, "QUERY_PARAM_NOT_ALLOWED")),
        (f"&shares={encoded(SHARE)}", (400, "QUERY_PARAM_NOT_ALLOWED")),
        (f"&shares=List({SHARE})", (400, "ILLEGAL_ARGUMENT")),
        (f"&shares=List({encoded(SHARE)}%2C{encoded(AGED)})", (400, "ILLEGAL_ARGUMENT")),
        (f"&shares=List({encoded(UGC)})", (400, "ILLEGAL_ARGUMENT")),
        ("&shares=List()", (400, "ILLEGAL_ARGUMENT")),
        (f"&shares[0]={encoded(SHARE)}", (403, "ACCESS_DENIED")),
        (f"&shares%5B0%5D={encoded(SHARE)}", (403, "ACCESS_DENIED")),
        (f"&posts=List({encoded(SHARE)})", (400, "QUERY_PARAM_NOT_ALLOWED")),
        (f"&shares=List({encoded(SHARE)})&shares=List({encoded(AGED)})", (400, "QUERY_PARAM_NOT_ALLOWED")),
        ("&start=ten", (400, "ILLEGAL_ARGUMENT")),
    ],
)
def test_query_is_checked_undecoded(linkedin: LinkedIn, query: str, expected: tuple[int, str]) -> None:
    response = statistics(linkedin, more=query)

    assert code(response) == expected
    if expected[0] == 403:
        assert "Unpermitted fields present in PARAMETER" in response.json()["message"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=organizationalEntity",
        f"q=organizationalEntity&organizationalEntity=urn:li:organization:{ORG}",
        f"q=owners&organizationalEntity=urn%3Ali%3Aorganization%3A{ORG}",
    ],
)
def test_finder_requires_an_encoded_organization(linkedin: LinkedIn, query: str) -> None:
    response = get(linkedin, f"/rest/organizationalEntityShareStatistics?{query}")

    assert code(response) == (400, "ILLEGAL_ARGUMENT")


def many(world: World, clock: Clock) -> list[str]:
    urns = [f"urn:li:share:{number}" for number in range(100, 115)]
    day = clock.now - timedelta(days=1)
    world.add_posts(Post("linkedin", urn, ORG, day, counters={"impressionCount": 1}) for urn in urns)
    return urns


def test_all_listed_posts_are_returned_at_once_in_another_order(
    linkedin: LinkedIn, world: World, clock: Clock
) -> None:
    urns = many(world, clock)

    body = statistics(linkedin, *urns).json()

    answered = [one["share"] for one in body["elements"]]
    assert sorted(answered) == urns
    assert answered != urns
    assert body["paging"] == {"start": 0, "count": 10, "links": []}


def test_statistics_can_be_paged(
    linkedin: LinkedIn, world: World, behaviour: Behaviour, clock: Clock
) -> None:
    urns = many(world, clock)
    behaviour.set_conditions(Conditions(paged_lists=True))

    first = statistics(linkedin, *urns).json()
    (link,) = first["paging"]["links"]
    second = get(linkedin, link["href"]).json()

    assert link["rel"] == "next"
    assert (len(first["elements"]), len(second["elements"])) == (10, 5)
    assert {one["share"] for one in first["elements"] + second["elements"]} == set(urns)
    assert second["paging"]["links"] == []


def test_requested_page_is_returned(linkedin: LinkedIn, world: World, clock: Clock) -> None:
    urns = many(world, clock)

    assert len(statistics(linkedin, *urns, more="&count=4").json()["elements"]) == 4
