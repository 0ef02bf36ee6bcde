"""The simulated LinkedIn refuses, leaves out and answers as its vendor's pages say."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from deploy.simulators.ledger import noted
from deploy.simulators.linkedin import LinkedIn
from deploy.simulators.linkedin_oauth import CLIENT_ID, CLIENT_SECRET
from deploy.simulators.misbehaviour import Behaviour, Limit, Misbehaviour
from deploy.simulators.world import Account, Post, World

ORG, OTHER, MEMBER = "5550001", "5550002", "abc-1"
SHARE = "urn:li:share:7390000000000000001"
UGC = "urn:li:ugcPost:7390000000000000002"
QUIET = "urn:li:share:7390000000000000003"
AGED = "urn:li:share:7390000000000000004"
DELETED = "urn:li:share:7390000000000000005"
FOREIGN = "urn:li:share:7390000000000000006"
MINE = "urn:li:ugcPost:7390000000000000007"
MINE_SHARE = "urn:li:share:7390000000000000008"
SCOPES = frozenset({"rw_organization_admin", "r_organization_social"})


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 4, 15, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the instant at which it stands."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    world = World(seed=1, now=clock)
    end = clock.now + timedelta(days=60)
    world.add_accounts(
        [
            Account(
                "linkedin",
                ORG,
                "page-token",
                kind="organization",
                scopes=SCOPES,
                access_token_expires_at=end,
                refresh_token="refresh-1",
                refresh_token_expires_at=clock.now + timedelta(days=365),
            ),
            Account("linkedin", OTHER, "other-token", kind="organization", scopes=SCOPES),
            Account(
                "linkedin",
                MEMBER,
                "member-token",
                kind="member",
                scopes=frozenset({"r_member_postAnalytics", "r_member_social"}),
            ),
        ]
    )
    day = clock.now - timedelta(days=1)
    counters = {
        "impressionCount": 5287,
        "uniqueImpressionsCount": 3000,
        "clickCount": 78,
        "likeCount": 14,
        "commentCount": 24,
        "shareCount": 5,
    }
    world.add_posts(
        [
            Post("linkedin", SHARE, ORG, day, text="We ship", counters=counters),
            Post("linkedin", UGC, ORG, day),
            Post("linkedin", QUIET, ORG, day, no_data=True),
            Post("linkedin", AGED, ORG, clock.now - timedelta(days=366)),
            Post("linkedin", DELETED, ORG, day, deleted=True),
            Post("linkedin", FOREIGN, OTHER, day),
            Post("linkedin", MINE, MEMBER, day, counters=counters),
            Post("linkedin", MINE_SHARE, MEMBER, day, no_data=True),
        ]
    )
    return world


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def linkedin(world: World, behaviour: Behaviour) -> LinkedIn:
    return LinkedIn(world, behaviour)


def get(
    linkedin: LinkedIn, target: str, by: str | None = "page-token", **headers: str | None
) -> httpx.Response:
    sent = {
        "Authorization": by and f"Bearer {by}",
        "LinkedIn-Version": "202608",
        "X-Restli-Protocol-Version": "2.0.0",
    }
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    given = {name: value for name, value in sent.items() if value is not None}
    url = httpx.URL("https://api.linkedin.com").copy_with(raw_path=target.encode())
    return linkedin.handle(httpx.Request("GET", url, headers=given))


def encoded(urn: str) -> str:
    return quote(urn, safe="")


def listed(*urns: str) -> str:
    return f"List({','.join(map(encoded, urns))})"


FINDER = "/rest/organizationalEntityShareStatistics?q=organizationalEntity&organizationalEntity="


def statistics(
    linkedin: LinkedIn, *urns: str, org: str = ORG, more: str = "", **asked: Any
) -> httpx.Response:
    shares = [urn for urn in urns if ":share:" in urn]
    posts = [urn for urn in urns if ":ugcPost:" in urn]
    target = FINDER + encoded(f"urn:li:organization:{org}")
    target += f"&shares={listed(*shares)}" if shares else ""
    target += f"&ugcPosts={listed(*posts)}" if posts else ""
    return get(linkedin, target + more, **asked)


def analytics(linkedin: LinkedIn, entity: str, metric: str = "IMPRESSION", **asked: Any) -> httpx.Response:
    target = f"/rest/memberCreatorPostAnalytics?q=entity&entity={entity}&queryType={metric}&aggregation=TOTAL"
    return get(linkedin, target, **{"by": "member-token"} | asked)


def refresh(linkedin: LinkedIn, token: str = "refresh-1", **changes: str) -> httpx.Response:  # noqa: S107 (a simulated token)
    form = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    url = "https://www.linkedin.com/oauth/v2/accessToken"
    return linkedin.handle(httpx.Request("POST", url, data=form | changes))


def code(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["code"]


# Statistics of organizations


def test_posts_of_both_kinds_come_in_one_call(linkedin: LinkedIn) -> None:
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
def test_a_post_with_nothing_to_show_is_left_out(linkedin: LinkedIn, urn: str) -> None:
    response = statistics(linkedin, SHARE, urn)

    assert [one["share"] for one in response.json()["elements"]] == [SHARE]


def test_a_new_post_is_left_out_until_somebody_sees_it(
    linkedin: LinkedIn, world: World, clock: Clock
) -> None:
    world.add_posts([Post("linkedin", "urn:li:share:1", ORG, clock.now)])
    assert statistics(linkedin, "urn:li:share:1").json()["elements"] == []

    clock.now += timedelta(hours=6)

    assert len(statistics(linkedin, "urn:li:share:1").json()["elements"]) == 1


def test_one_foreign_post_may_refuse_the_whole_call(linkedin: LinkedIn, behaviour: Behaviour) -> None:
    behaviour.become(Misbehaviour(foreign_refused=True))

    assert code(statistics(linkedin, SHARE, FOREIGN)) == (403, "ACCESS_DENIED")
    assert statistics(linkedin, SHARE, DELETED).status_code == 200
    assert statistics(linkedin).status_code == 200


def test_a_statistic_may_be_left_out(linkedin: LinkedIn, world: World) -> None:
    world.change_post("linkedin", SHARE, absent_metrics=frozenset({"clickCount"}))

    assert "clickCount" not in statistics(linkedin, SHARE).json()["elements"][0]["totalShareStatistics"]


def test_a_lookup_without_posts_sums_the_organization(linkedin: LinkedIn, world: World) -> None:
    world.change_post("linkedin", UGC, no_data=True)

    (element,) = statistics(linkedin).json()["elements"]

    assert element["totalShareStatistics"]["impressionCount"] == 5287
    assert not {"share", "ugcPost"} & set(element)


@pytest.mark.parametrize("how", ["role", "scope", "foreign"])
def test_without_role_or_scope_nothing_is_shown_to_a_healthy_token(
    linkedin: LinkedIn, world: World, how: str
) -> None:
    if how == "role":
        world.change_account("linkedin", ORG, role_lost=True)
    elif how == "scope":
        world.change_account("linkedin", ORG, scopes=frozenset({"r_organization_social"}))
    org = OTHER if how == "foreign" else ORG

    for response in (statistics(linkedin, SHARE, org=org), statistics(linkedin, org=org)):
        assert code(response) == (403, "ACCESS_DENIED")
        assert response.json()["serviceErrorCode"] == 100


def test_a_token_opens_every_page_of_its_member(linkedin: LinkedIn, world: World) -> None:
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
def test_the_query_is_checked_as_it_was_sent(
    linkedin: LinkedIn, query: str, expected: tuple[int, str]
) -> None:
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
def test_the_finder_needs_its_encoded_organization(linkedin: LinkedIn, query: str) -> None:
    response = get(linkedin, f"/rest/organizationalEntityShareStatistics?{query}")

    assert code(response) == (400, "ILLEGAL_ARGUMENT")


def many(world: World, clock: Clock) -> list[str]:
    urns = [f"urn:li:share:{number}" for number in range(100, 115)]
    day = clock.now - timedelta(days=1)
    world.add_posts(Post("linkedin", urn, ORG, day, counters={"impressionCount": 1}) for urn in urns)
    return urns


def test_all_listed_posts_come_at_once_in_no_particular_order(
    linkedin: LinkedIn, world: World, clock: Clock
) -> None:
    urns = many(world, clock)

    body = statistics(linkedin, *urns).json()

    answered = [one["share"] for one in body["elements"]]
    assert sorted(answered) == urns
    assert answered != urns
    assert body["paging"] == {"start": 0, "count": 10, "links": []}


def test_a_list_may_be_paged(linkedin: LinkedIn, world: World, behaviour: Behaviour, clock: Clock) -> None:
    urns = many(world, clock)
    behaviour.become(Misbehaviour(paged_lists=True))

    first = statistics(linkedin, *urns).json()
    (link,) = first["paging"]["links"]
    second = get(linkedin, link["href"]).json()

    assert link["rel"] == "next"
    assert (len(first["elements"]), len(second["elements"])) == (10, 5)
    assert {one["share"] for one in first["elements"] + second["elements"]} == set(urns)
    assert second["paging"]["links"] == []


def test_a_page_that_is_asked_for_is_given(linkedin: LinkedIn, world: World, clock: Clock) -> None:
    urns = many(world, clock)

    assert len(statistics(linkedin, *urns, more="&count=4").json()["elements"]) == 4


# Analytics of members


def test_a_members_post_is_read_one_metric_at_a_time(linkedin: LinkedIn) -> None:
    values = {
        metric: analytics(linkedin, f"(ugc:{encoded(MINE)})", metric).json()["elements"][0]["count"]
        for metric in ("IMPRESSION", "MEMBERS_REACHED", "RESHARE", "REACTION", "COMMENT", "LINK_CLICKS")
    }

    assert list(values.values()) == [5287, 3000, 5, 14, 24, 78]


def test_the_metric_is_an_object_before_202605_and_a_string_after(linkedin: LinkedIn) -> None:
    entity = f"(ugc:{encoded(MINE)})"

    (before,) = analytics(linkedin, entity, LinkedIn_Version="202604").json()["elements"]
    (after,) = analytics(linkedin, entity, LinkedIn_Version="202605").json()["elements"]

    assert list(before["metricType"].values()) == ["IMPRESSION"]
    assert after["metricType"] == "IMPRESSION"


def test_newer_metrics_need_a_newer_version(linkedin: LinkedIn) -> None:
    entity = f"(ugc:{encoded(MINE)})"

    assert code(analytics(linkedin, entity, "POST_SAVE", LinkedIn_Version="202603")) == (
        400,
        "ILLEGAL_ARGUMENT",
    )
    assert analytics(linkedin, entity, "POST_SAVE").status_code == 200
    assert code(analytics(linkedin, entity, "IMPRESSIONS")) == (400, "ILLEGAL_ARGUMENT")


def test_a_post_that_nobody_saw_has_no_elements(linkedin: LinkedIn) -> None:
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
def test_the_entity_is_a_record_with_its_own_key(linkedin: LinkedIn, entity: str) -> None:
    assert code(analytics(linkedin, entity)) == (400, "ILLEGAL_ARGUMENT")


def test_a_member_reads_only_own_posts_with_the_scope_for_it(linkedin: LinkedIn, world: World) -> None:
    assert code(analytics(linkedin, f"(share:{encoded(FOREIGN)})")) == (403, "ACCESS_DENIED")
    assert code(analytics(linkedin, f"(share:{encoded('urn:li:share:1')})")) == (404, "NOT_FOUND")

    world.change_account("linkedin", MEMBER, scopes=frozenset({"r_member_social"}))

    for urn in (MINE, "urn:li:ugcPost:1"):
        assert code(analytics(linkedin, f"(ugc:{encoded(urn)})")) == (403, "ACCESS_DENIED")


def test_a_page_token_reads_no_members_post(linkedin: LinkedIn, world: World) -> None:
    world.change_account("linkedin", ORG, scopes=SCOPES | {"r_member_postAnalytics"})

    assert code(analytics(linkedin, f"(share:{encoded(SHARE)})", by="page-token")) == (403, "ACCESS_DENIED")


@pytest.mark.parametrize("change", [("q=entity", "q=me"), ("TOTAL", "DAILY")])
def test_other_finders_and_aggregations_are_refused(linkedin: LinkedIn, change: tuple[str, str]) -> None:
    entity = f"(ugc:{encoded(MINE)})"
    target = f"/rest/memberCreatorPostAnalytics?q=entity&entity={entity}&queryType=COMMENT&aggregation=TOTAL"

    assert code(get(linkedin, target.replace(*change), "member-token")) == (400, "ILLEGAL_ARGUMENT")


def test_a_metric_of_a_members_post_may_be_left_out(linkedin: LinkedIn, world: World) -> None:
    world.change_post("linkedin", MINE, absent_metrics=frozenset({"COMMENT"}))

    assert analytics(linkedin, f"(ugc:{encoded(MINE)})", "COMMENT").json()["elements"] == []


# Posts


@pytest.mark.parametrize("urn", [SHARE, QUIET, AGED])
def test_a_post_can_be_looked_up_whatever_its_statistics(linkedin: LinkedIn, urn: str) -> None:
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
def test_a_post_that_is_not_to_be_had_says_so(
    linkedin: LinkedIn, urn: str, expected: tuple[int, str]
) -> None:
    assert code(get(linkedin, f"/rest/posts/{urn}")) == expected


def test_posts_can_be_looked_up_together(linkedin: LinkedIn) -> None:
    body = get(linkedin, f"/rest/posts?ids={listed(SHARE, DELETED, FOREIGN)}").json()

    assert set(body["results"]) == {SHARE}
    assert body["statuses"] == {SHARE: 200, DELETED: 404, FOREIGN: 403}
    assert body["errors"][DELETED]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("changes", [{"scopes": frozenset({"rw_organization_admin"})}, {"role_lost": True}])
def test_looking_up_a_post_needs_its_own_scope_and_the_role(
    linkedin: LinkedIn, world: World, changes: dict[str, Any]
) -> None:
    world.change_account("linkedin", ORG, **changes)

    assert code(get(linkedin, f"/rest/posts/{encoded(SHARE)}")) == (403, "ACCESS_DENIED")


def test_a_members_post_is_looked_up_by_the_member(linkedin: LinkedIn) -> None:
    body = get(linkedin, f"/rest/posts/{encoded(MINE)}", "member-token").json()

    assert body["author"] == f"urn:li:person:{MEMBER}"


def test_the_ledger_is_told_endpoint_and_ids(linkedin: LinkedIn) -> None:
    said = noted(statistics(linkedin, SHARE, UGC))

    assert (said.endpoint, said.ids) == ("organizationalEntityShareStatistics", (SHARE, UGC))


def test_looking_up_without_the_scope_tells_nothing_about_a_post(linkedin: LinkedIn, world: World) -> None:
    world.change_account("linkedin", ORG, scopes=frozenset())

    assert code(get(linkedin, f"/rest/posts/{encoded('urn:li:share:1')}")) == (403, "ACCESS_DENIED")


def test_an_unknown_resource_is_not_found(linkedin: LinkedIn) -> None:
    assert code(get(linkedin, "/rest/shares")) == (404, "RESOURCE_NOT_FOUND")


# Who may call, with which version, how often


def test_each_way_to_lose_a_token_has_its_number(linkedin: LinkedIn, world: World, clock: Clock) -> None:
    assert statistics(linkedin, SHARE, by=None).json()["serviceErrorCode"] == 401
    assert statistics(linkedin, SHARE, by="nobody").json()["serviceErrorCode"] == 65600
    clock.now += timedelta(days=60)
    expired = statistics(linkedin, SHARE)
    assert code(expired) == (401, "EXPIRED_ACCESS_TOKEN")
    assert expired.json()["serviceErrorCode"] == 65602
    world.revoke("linkedin", ORG)
    revoked = statistics(linkedin, SHARE)
    assert code(revoked) == (401, "REVOKED_ACCESS_TOKEN")
    assert revoked.json()["serviceErrorCode"] == 65601


def test_a_new_token_may_be_called_revoked_for_some_seconds(
    linkedin: LinkedIn, behaviour: Behaviour, clock: Clock
) -> None:
    behaviour.become(Misbehaviour(revoked_after_minting_seconds=8))
    clock.now += timedelta(days=1)
    token = refresh(linkedin).json()["access_token"]

    assert code(statistics(linkedin, SHARE, by=token)) == (401, "REVOKED_ACCESS_TOKEN")

    clock.now += timedelta(seconds=8)
    assert statistics(linkedin, SHARE, by=token).status_code == 200


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, (400, "VERSION_MISSING")),
        ("202511", (426, "NONEXISTENT_VERSION")),
        ("202512", (426, "NONEXISTENT_VERSION")),
        ("latest", (426, "NONEXISTENT_VERSION")),
    ],
)
def test_a_call_needs_a_version_that_lives(
    linkedin: LinkedIn, version: str | None, expected: tuple[int, str]
) -> None:
    assert code(statistics(linkedin, SHARE, LinkedIn_Version=version)) == expected


def test_a_version_can_be_taken_away(linkedin: LinkedIn, behaviour: Behaviour) -> None:
    behaviour.become(Misbehaviour(sunset_versions=frozenset({"202608"})))

    assert code(statistics(linkedin, SHARE)) == (426, "NONEXISTENT_VERSION")
    assert statistics(linkedin, SHARE, LinkedIn_Version="202609").status_code == 200


@pytest.mark.parametrize("protocol", [None, "1.0.0"])
def test_lists_need_protocol_two(linkedin: LinkedIn, protocol: str | None) -> None:
    response = statistics(linkedin, SHARE, X_Restli_Protocol_Version=protocol)

    assert code(response) == (400, "ILLEGAL_ARGUMENT")


@pytest.mark.parametrize(("bucket", "others"), [("application_day", 429), ("member_day", 200)])
def test_a_day_of_calls_ends_at_midnight_utc(
    linkedin: LinkedIn, behaviour: Behaviour, clock: Clock, bucket: str, others: int
) -> None:
    behaviour.become(Misbehaviour(limits={bucket: Limit(1, 86_400.0, sliding=False)}))
    statistics(linkedin, SHARE)

    refused = statistics(linkedin, SHARE)

    assert code(refused) == (429, "TOO_MANY_REQUESTS")
    assert refused.json()["serviceErrorCode"] == 101
    assert f"throttle {bucket.removesuffix('_day').upper()} DAY limit" in refused.json()["message"]
    assert not {"retry-after", "x-ratelimit-reset"} & set(refused.headers)
    assert statistics(linkedin, FOREIGN, org=OTHER, by="other-token").status_code == others
    assert get(linkedin, f"/rest/posts/{encoded(SHARE)}").status_code == 200
    clock.now = datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)
    assert statistics(linkedin, SHARE).status_code == 429
    clock.now = datetime(2026, 11, 24, tzinfo=UTC)
    assert statistics(linkedin, SHARE).status_code == 200


# Tokens


def test_a_refresh_gives_a_token_and_prolongs_nothing_else(linkedin: LinkedIn, clock: Clock) -> None:
    clock.now += timedelta(days=100)

    first = refresh(linkedin).json()
    clock.now += timedelta(days=1)
    second = refresh(linkedin).json()

    assert first["expires_in"] == 5_184_000
    assert first["refresh_token"] == second["refresh_token"] == "refresh-1"
    assert first["refresh_token_expires_in"] == 265 * 86_400
    assert second["refresh_token_expires_in"] == 264 * 86_400
    assert statistics(linkedin, SHARE, by=second["access_token"]).status_code == 200


def test_a_refresh_covers_every_page_of_the_same_consent(linkedin: LinkedIn, world: World) -> None:
    world.change_account("linkedin", OTHER, access_token="page-token", refresh_token="refresh-1")

    token = refresh(linkedin).json()["access_token"]

    assert statistics(linkedin, SHARE, by=token).status_code == 200
    assert statistics(linkedin, FOREIGN, org=OTHER, by=token).status_code == 200


@pytest.mark.parametrize("how", ["unknown", "expired", "revoked"])
def test_a_dead_refresh_token_is_an_invalid_grant(
    linkedin: LinkedIn, world: World, clock: Clock, how: str
) -> None:
    if how == "expired":
        clock.now += timedelta(days=365)
    elif how == "revoked":
        world.revoke("linkedin", ORG)

    response = refresh(linkedin, "nothing" if how == "unknown" else "refresh-1")

    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"client_id": "", "client_secret": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_client_names_itself_in_the_form(
    linkedin: LinkedIn, changes: dict[str, str], status: int, error: str
) -> None:
    response = refresh(linkedin, **changes)

    assert (response.status_code, response.json()["error"]) == (status, error)


def test_a_refresh_in_json_is_refused(linkedin: LinkedIn) -> None:
    url = "https://www.linkedin.com/oauth/v2/accessToken"

    assert linkedin.handle(httpx.Request("POST", url, json={"refresh_token": "refresh-1"})).status_code == 400
