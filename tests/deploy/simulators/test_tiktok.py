"""The simulated TikTok refuses and answers as its vendor's pages say."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from deploy.simulators.ledger import noted
from deploy.simulators.misbehaviour import Behaviour, Limit, Misbehaviour
from deploy.simulators.tiktok import TikTok
from deploy.simulators.tiktok_oauth import CLIENT_KEY, CLIENT_SECRET
from deploy.simulators.world import Account, Post, World

USER, OTHER = "open-1", "open-2"
VIDEO = "7560000000000000001"
FOREIGN = "7560000000000000002"
PRIVATE = "7560000000000000003"
DELETED = "7560000000000000004"
MODERATED = "7560000000000000005"
URL = "https://open.tiktokapis.com"
COUNTERS = "id,view_count,like_count,comment_count,share_count"


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
    end = clock.now + timedelta(hours=2)
    scopes = frozenset({"video.list", "video.publish"})
    world.add_accounts(
        [
            Account(
                "tiktok",
                USER,
                "act.user",
                scopes=scopes,
                access_token_expires_at=end,
                refresh_token="rft.1",
                refresh_token_expires_at=clock.now + timedelta(days=180),
            ),
            Account("tiktok", OTHER, "act.other", scopes=scopes),
        ]
    )
    day = clock.now - timedelta(days=1)
    counters = {"view_count": 15420, "like_count": 988, "comment_count": 41, "share_count": 63}
    world.add_posts(
        [
            Post("tiktok", VIDEO, USER, day, text="Hi", counters=counters, publish_id="v_pub_file~1"),
            Post("tiktok", FOREIGN, OTHER, day, publish_id="v_pub_file~2"),
            Post("tiktok", PRIVATE, USER, day, private=True, publish_id="v_pub_file~3"),
            Post("tiktok", DELETED, USER, day, deleted=True),
            Post(
                "tiktok",
                MODERATED,
                USER,
                clock.now,
                publish_id="v_pub_url~5",
                resolved_at=clock.now + timedelta(hours=1),
            ),
        ]
    )
    return world


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def tiktok(world: World, behaviour: Behaviour) -> TikTok:
    return TikTok(world, behaviour)


def post(tiktok: TikTok, path: str, body: Any, by: str = "act.user", **headers: str) -> httpx.Response:
    authorization = {"Authorization": f"Bearer {by}", "Content-Type": "application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return tiktok.handle(httpx.Request("POST", URL + path, content=content, headers=authorization | headers))


def query(
    tiktok: TikTok, *ids: Any, fields: str = COUNTERS, by: str = "act.user", **headers: str
) -> httpx.Response:
    return post(tiktok, f"/v2/video/query/?fields={fields}", {"filters": {"video_ids": ids}}, by, **headers)


def code(response: httpx.Response) -> str:
    error = response.json()["error"]
    assert len(error["log_id"]) == 32
    return str(error["code"])


def public_ids(tiktok: TikTok, publish_id: str) -> Any:
    response = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": publish_id})
    return response.json()["data"]["publicaly_available_post_id"]


def refresh(tiktok: TikTok, token: str, **changes: str) -> httpx.Response:
    form = {
        "client_key": CLIENT_KEY,
        "client_secret": CLIENT_SECRET,
        "grant_type": "refresh_token",
        "refresh_token": token,
    }
    return tiktok.handle(httpx.Request("POST", f"{URL}/v2/oauth/token/", data=form | changes))


# Videos


def test_found_videos_come_in_the_envelope(tiktok: TikTok) -> None:
    response = query(tiktok, VIDEO)

    assert response.status_code == 200
    assert code(response) == "ok"
    assert response.json()["data"]["videos"] == [
        {"id": VIDEO, "view_count": 15420, "like_count": 988, "comment_count": 41, "share_count": 63}
    ]


def test_whatever_is_not_a_public_video_of_this_user_is_just_missing(tiktok: TikTok) -> None:
    response = query(tiktok, VIDEO, FOREIGN, PRIVATE, DELETED, MODERATED, "7560000000000000999")

    assert code(response) == "ok"
    assert [video["id"] for video in response.json()["data"]["videos"]] == [VIDEO]


def test_an_empty_answer_is_an_empty_list_or_none_at_all(tiktok: TikTok, behaviour: Behaviour) -> None:
    assert query(tiktok, DELETED).json()["data"] == {"videos": []}

    behaviour.become(Misbehaviour(empty_list_absent=True))

    assert query(tiktok, DELETED).json()["data"] == {}
    assert len(query(tiktok, VIDEO).json()["data"]["videos"]) == 1


def test_only_the_fields_asked_for_come(tiktok: TikTok, clock: Clock) -> None:
    (video,) = query(tiktok, VIDEO, fields="id,create_time,video_description,duration").json()["data"][
        "videos"
    ]

    created = int((clock.now - timedelta(days=1)).timestamp())
    assert video == {"id": VIDEO, "create_time": created, "video_description": "Hi"}


@pytest.mark.parametrize("fields", ["", "id,saves"])
def test_fields_must_be_named_and_known(tiktok: TikTok, fields: str) -> None:
    response = query(tiktok, VIDEO, fields=fields)

    assert (response.status_code, code(response)) == (400, "invalid_params")


def test_a_counter_may_be_left_out(tiktok: TikTok, world: World) -> None:
    world.change_post("tiktok", VIDEO, absent_metrics=frozenset({"share_count"}))

    assert "share_count" not in query(tiktok, VIDEO).json()["data"]["videos"][0]


@pytest.mark.parametrize("ids", [[], [VIDEO] * 21, [int(VIDEO)], ["abc"]])
def test_a_wrong_list_of_ids_fails_the_call(tiktok: TikTok, ids: list[Any]) -> None:
    response = query(tiktok, *ids)

    assert (response.status_code, code(response)) == (400, "invalid_params")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"filters": []}', b"{"])
def test_a_body_that_is_no_query_fails_the_call(tiktok: TikTok, body: bytes) -> None:
    assert code(post(tiktok, "/v2/video/query/?fields=id", body)) == "invalid_params"


def test_twenty_ids_are_one_call(tiktok: TikTok) -> None:
    assert query(tiktok, *(str(7560000000000000000 + number) for number in range(20))).status_code == 200


def test_a_body_that_is_not_declared_as_json_fails_the_call(tiktok: TikTok) -> None:
    assert code(query(tiktok, VIDEO, **{"Content-Type": "text/plain"})) == "invalid_params"


@pytest.mark.parametrize(
    "path", ["/v2/video/query", "/v2/video/list", "/v2/post/publish/status/fetch", "/v2/oauth/token"]
)
def test_without_the_last_slash_there_is_nothing(tiktok: TikTok, path: str) -> None:
    assert post(tiktok, path, {}).status_code == 404


def test_the_order_of_the_answer_is_not_that_of_the_question(
    tiktok: TikTok, world: World, clock: Clock
) -> None:
    ids = [str(7570000000000000000 + number) for number in range(20)]
    world.add_posts(Post("tiktok", one, USER, clock.now) for one in ids)

    answered = [video["id"] for video in query(tiktok, *ids).json()["data"]["videos"]]

    assert sorted(answered) == ids
    assert answered != ids


def test_a_list_goes_back_in_time_page_by_page(tiktok: TikTok, world: World, clock: Clock) -> None:
    for number in range(3):
        created_at = clock.now - timedelta(minutes=number)
        world.add_posts([Post("tiktok", str(7570000000000000000 + number), USER, created_at)])

    first = post(tiktok, "/v2/video/list/?fields=id", {"max_count": 2}).json()["data"]
    second = post(tiktok, "/v2/video/list/?fields=id", {"max_count": 2, "cursor": first["cursor"]}).json()[
        "data"
    ]

    assert [video["id"] for video in first["videos"]] == ["7570000000000000000", "7570000000000000001"]
    assert [video["id"] for video in second["videos"]] == ["7570000000000000002", VIDEO]
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_a_list_past_its_end_is_empty(tiktok: TikTok) -> None:
    data = post(tiktok, "/v2/video/list/?fields=id", {"cursor": 1000}).json()["data"]

    assert data == {"videos": [], "cursor": 1000, "has_more": False}


@pytest.mark.parametrize("body", [{"max_count": 21}, {"max_count": 0}, {"max_count": "2"}, {"cursor": "now"}])
def test_a_wrong_page_fails_the_list(tiktok: TikTok, body: dict[str, Any]) -> None:
    assert code(post(tiktok, "/v2/video/list/?fields=id", body)) == "invalid_params"


def test_the_ledger_is_told_endpoint_and_ids(tiktok: TikTok) -> None:
    said = noted(query(tiktok, VIDEO, DELETED))

    assert (said.endpoint, said.ids) == ("video/query", (VIDEO, DELETED))


# Publish status


def test_a_public_id_is_a_number_of_nineteen_digits(tiktok: TikTok) -> None:
    response = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": "v_pub_file~1"})

    assert response.json()["data"]["status"] == "PUBLISH_COMPLETE"
    assert f'"publicaly_available_post_id":[{VIDEO}]' in response.text


def test_the_public_id_is_unknown_until_moderation_ends(tiktok: TikTok, clock: Clock) -> None:
    assert public_ids(tiktok, "v_pub_url~5") == []
    assert query(tiktok, MODERATED).json()["data"]["videos"] == []

    clock.now += timedelta(hours=1)

    assert public_ids(tiktok, "v_pub_url~5") == [int(MODERATED)]
    assert len(query(tiktok, MODERATED).json()["data"]["videos"]) == 1


def test_a_private_post_never_gets_a_public_id(tiktok: TikTok, clock: Clock) -> None:
    clock.now += timedelta(minutes=90)

    assert public_ids(tiktok, "v_pub_file~3") == []


@pytest.mark.parametrize(
    ("publish_id", "status", "expected"),
    [
        ("v_pub_file~9", 400, "invalid_publish_id"),
        (None, 400, "invalid_publish_id"),
        ("v_pub_file~2", 403, "token_not_authorized_for_specified_publish_id"),
    ],
)
def test_an_unknown_or_foreign_publish_id_is_refused(
    tiktok: TikTok, publish_id: str | None, status: int, expected: str
) -> None:
    response = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": publish_id})

    assert (response.status_code, code(response)) == (status, expected)


# Who may call, how often


@pytest.mark.parametrize("state", ["unknown", "expired", "revoked"])
def test_a_dead_token_is_invalid_whatever_ended_it(
    tiktok: TikTok, world: World, clock: Clock, state: str
) -> None:
    if state == "expired":
        clock.now += timedelta(hours=2)
    elif state == "revoked":
        world.revoke("tiktok", USER)

    response = query(tiktok, VIDEO, by="nobody" if state == "unknown" else "act.user")

    assert (response.status_code, code(response)) == (401, "access_token_invalid")
    assert response.json()["data"] == {}


def test_a_missing_scope_is_another_401(tiktok: TikTok, world: World) -> None:
    world.change_account("tiktok", USER, scopes=frozenset({"video.upload"}))

    response = query(tiktok, VIDEO)

    assert (response.status_code, code(response)) == (401, "scope_not_authorized")
    assert public_ids(tiktok, "v_pub_file~1") == [int(VIDEO)]


def test_six_hundred_calls_fit_a_sliding_minute_of_the_app(tiktok: TikTok, clock: Clock) -> None:
    for _ in range(300):
        query(tiktok, VIDEO)
    clock.now += timedelta(seconds=30)
    for _ in range(300):
        assert query(tiktok, FOREIGN, by="act.other").status_code == 200

    refused = query(tiktok, VIDEO)

    assert (refused.status_code, code(refused)) == (429, "rate_limit_exceeded")
    assert "retry-after" not in refused.headers
    assert post(tiktok, "/v2/video/list/?fields=id", {}).status_code == 200
    clock.now += timedelta(seconds=30)
    assert query(tiktok, VIDEO).status_code == 200


def test_publish_status_is_limited_for_each_user(tiktok: TikTok, behaviour: Behaviour) -> None:
    behaviour.become(Misbehaviour(limits={"status/fetch": Limit(1, 60.0)}))
    public_ids(tiktok, "v_pub_file~1")

    refused = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": "v_pub_file~1"})
    other = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": "v_pub_file~2"}, "act.other")

    assert (refused.status_code, code(refused)) == (429, "rate_limit_exceeded")
    assert other.status_code == 200


# Tokens


def test_a_refresh_replaces_both_tokens(tiktok: TikTok) -> None:
    answer = refresh(tiktok, "rft.1").json()

    assert (answer["expires_in"], answer["refresh_expires_in"]) == (7200, 180 * 86400)
    assert (answer["open_id"], answer["token_type"]) == (USER, "Bearer")
    assert answer["scope"] == "video.list,video.publish"
    assert code(query(tiktok, VIDEO, by=answer["access_token"])) == "ok"
    assert refresh(tiktok, answer["refresh_token"]).status_code == 200


def test_a_refresh_token_works_once_and_its_family_lives_on(tiktok: TikTok) -> None:
    answer = refresh(tiktok, "rft.1").json()

    again = refresh(tiktok, "rft.1")

    assert again.status_code == 400
    assert again.json()["error"] == "invalid_grant"
    assert set(again.json()) == {"error", "error_description", "log_id"}
    assert refresh(tiktok, answer["refresh_token"]).status_code == 200


def test_a_refresh_token_ends_after_its_life(tiktok: TikTok, clock: Clock) -> None:
    clock.now += timedelta(days=180)

    assert refresh(tiktok, "rft.1").json()["error"] == "invalid_grant"


def test_a_revoked_account_cannot_refresh(tiktok: TikTok, world: World) -> None:
    world.revoke("tiktok", USER)

    assert refresh(tiktok, "rft.1").json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_key": "other"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_wrong_client_or_grant_is_refused(
    tiktok: TikTok, changes: dict[str, str], status: int, error: str
) -> None:
    response = refresh(tiktok, "rft.1", **changes)

    assert (response.status_code, response.json()["error"]) == (status, error)
    assert refresh(tiktok, "rft.1").status_code == 200


def test_a_refresh_in_json_is_refused(tiktok: TikTok) -> None:
    body = {"client_key": CLIENT_KEY, "client_secret": CLIENT_SECRET, "refresh_token": "rft.1"}

    assert post(tiktok, "/v2/oauth/token/", body).json()["error"] == "invalid_request"


def test_tokens_of_the_older_kind_live_a_day(world: World) -> None:
    tiktok = TikTok(world, Behaviour(), access_life=timedelta(hours=24))

    assert refresh(tiktok, "rft.1").json()["expires_in"] == 86400
