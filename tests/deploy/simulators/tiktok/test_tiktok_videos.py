"""Videos and publish status of the simulated TikTok."""

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


def test_query_returns_existing_videos_in_the_envelope(tiktok: TikTok) -> None:
    response = query(tiktok, VIDEO)

    assert response.status_code == 200
    assert code(response) == "ok"
    assert response.json()["data"]["videos"] == [
        {"id": VIDEO, "view_count": 15420, "like_count": 988, "comment_count": 41, "share_count": 63}
    ]


def test_query_omits_videos_that_are_not_public_or_foreign(tiktok: TikTok) -> None:
    response = query(tiktok, VIDEO, FOREIGN, PRIVATE, DELETED, MODERATED, "7560000000000000999")

    assert code(response) == "ok"
    assert [video["id"] for video in response.json()["data"]["videos"]] == [VIDEO]


def test_empty_answer_has_an_empty_list_or_none(tiktok: TikTok, behaviour: Behaviour) -> None:
    assert query(tiktok, DELETED).json()["data"] == {"videos": []}

    behaviour.set_conditions(Conditions(empty_list_absent=True))

    assert query(tiktok, DELETED).json()["data"] == {}
    assert len(query(tiktok, VIDEO).json()["data"]["videos"]) == 1


def test_answer_has_only_the_requested_fields(tiktok: TikTok, clock: Clock) -> None:
    (video,) = query(tiktok, VIDEO, fields="id,create_time,video_description,duration").json()["data"][
        "videos"
    ]

    created = int((clock.now - timedelta(days=1)).timestamp())
    assert video == {"id": VIDEO, "create_time": created, "video_description": "Hi"}


@pytest.mark.parametrize("fields", ["", "id,saves"])
def test_missing_or_unknown_fields_are_refused(tiktok: TikTok, fields: str) -> None:
    response = query(tiktok, VIDEO, fields=fields)

    assert (response.status_code, code(response)) == (400, "invalid_params")


def test_absent_counter_is_omitted(tiktok: TikTok, world: World) -> None:
    world.change_post("tiktok", VIDEO, absent_metrics=frozenset({"share_count"}))

    assert "share_count" not in query(tiktok, VIDEO).json()["data"]["videos"][0]


@pytest.mark.parametrize("ids", [[], [VIDEO] * 21, [int(VIDEO)], ["abc"]])
def test_malformed_list_of_ids_is_refused(tiktok: TikTok, ids: list[Any]) -> None:
    response = query(tiktok, *ids)

    assert (response.status_code, code(response)) == (400, "invalid_params")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"filters": []}', b"{"])
def test_malformed_body_is_refused(tiktok: TikTok, body: bytes) -> None:
    assert code(post(tiktok, "/v2/video/query/?fields=id", body)) == "invalid_params"


def test_query_accepts_twenty_ids(tiktok: TikTok) -> None:
    assert query(tiktok, *(str(7560000000000000000 + number) for number in range(20))).status_code == 200


def test_wrong_content_type_is_refused(tiktok: TikTok) -> None:
    assert code(query(tiktok, VIDEO, **{"Content-Type": "text/plain"})) == "invalid_params"


@pytest.mark.parametrize(
    "path", ["/v2/video/query", "/v2/video/list", "/v2/post/publish/status/fetch", "/v2/oauth/token"]
)
def test_path_without_final_slash_is_404(tiktok: TikTok, path: str) -> None:
    assert post(tiktok, path, {}).status_code == 404


def test_answer_order_differs_from_request_order(tiktok: TikTok, world: World, clock: Clock) -> None:
    ids = [str(7570000000000000000 + number) for number in range(20)]
    world.add_posts(Post("tiktok", one, USER, clock.now) for one in ids)

    answered = [video["id"] for video in query(tiktok, *ids).json()["data"]["videos"]]

    assert sorted(answered) == ids
    assert answered != ids


def test_list_pages_run_from_newest_to_oldest(tiktok: TikTok, world: World, clock: Clock) -> None:
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


def test_list_past_the_end_is_empty(tiktok: TikTok) -> None:
    data = post(tiktok, "/v2/video/list/?fields=id", {"cursor": 1000}).json()["data"]

    assert data == {"videos": [], "cursor": 1000, "has_more": False}


@pytest.mark.parametrize("body", [{"max_count": 21}, {"max_count": 0}, {"max_count": "2"}, {"cursor": "now"}])
def test_malformed_page_is_refused(tiktok: TikTok, body: dict[str, Any]) -> None:
    assert code(post(tiktok, "/v2/video/list/?fields=id", body)) == "invalid_params"


def test_request_log_names_endpoint_and_ids(tiktok: TikTok) -> None:
    said = note_of(query(tiktok, VIDEO, DELETED))

    assert (said.endpoint, said.ids) == ("video/query", (VIDEO, DELETED))


# Publish status


def test_public_id_is_a_number_of_nineteen_digits(tiktok: TikTok) -> None:
    response = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": "v_pub_file~1"})

    assert response.json()["data"]["status"] == "PUBLISH_COMPLETE"
    assert f'"publicaly_available_post_id":[{VIDEO}]' in response.text


def test_public_id_is_absent_until_moderation_ends(tiktok: TikTok, clock: Clock) -> None:
    assert public_ids(tiktok, "v_pub_url~5") == []
    assert query(tiktok, MODERATED).json()["data"]["videos"] == []

    clock.now += timedelta(hours=1)

    assert public_ids(tiktok, "v_pub_url~5") == [int(MODERATED)]
    assert len(query(tiktok, MODERATED).json()["data"]["videos"]) == 1


def test_private_post_has_no_public_id(tiktok: TikTok, clock: Clock) -> None:
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
def test_unknown_or_foreign_publish_id_is_refused(
    tiktok: TikTok, publish_id: str | None, status: int, expected: str
) -> None:
    response = post(tiktok, "/v2/post/publish/status/fetch/", {"publish_id": publish_id})

    assert (response.status_code, code(response)) == (status, expected)
