"""Videos and publish status, as the simulated TikTok shows them."""

from datetime import timedelta
from typing import Any

import pytest

from deploy.simulators.behaviour import Behaviour, Conditions
from deploy.simulators.request_log import note_of
from deploy.simulators.tiktok.tiktok import TikTok
from deploy.simulators.world import Post, World
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.tiktok.harness import (
    DELETED,
    FOREIGN,
    MODERATED,
    PRIVATE,
    USER,
    VIDEO,
    code,
    post,
    public_ids,
    query,
)

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

    behaviour.set_conditions(Conditions(empty_list_absent=True))

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
    said = note_of(query(tiktok, VIDEO, DELETED))

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
