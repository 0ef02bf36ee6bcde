"""A page of analytics rows: fields, filters, paging, totals, overview."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.api_stub.support import CREATED_AT, Api


def test_row_has_the_documented_fields(api: Api) -> None:
    publication_id = api.rows.publication(
        post_id="post_2a7f93",
        platform_post_id="18000000000000000",
        platform_post_url="https://www.instagram.com/p/example/",
        text="Shipping Dravo",
        created_at=CREATED_AT,
        published_at=datetime(2026, 6, 23, 10, 16, 2, tzinfo=UTC),
        analytics={
            "metrics": {"views": 1240, "reach": 980, "likes": 84, "comments": 6, "shares": 12},
            "last_updated_at": datetime(2026, 6, 29, 9, tzinfo=UTC),
            "stale_after": datetime(2126, 6, 29, 15, 0, 0, 250000, tzinfo=UTC),
        },
    )

    assert api.posts() == {
        "items": [
            {
                "publication_id": str(publication_id),
                "post_id": "post_2a7f93",
                "account_id": "acc_1",
                "platform": "instagram",
                "platform_post_id": "18000000000000000",
                "platform_post_url": "https://www.instagram.com/p/example/",
                "text": "Shipping Dravo",
                "created_at": "2026-06-23T10:15:30Z",
                "published_at": "2026-06-23T10:16:02Z",
                "metrics": {"views": 1240, "reach": 980, "likes": 84, "comments": 6, "shares": 12},
                "warnings": [],
                "sync_status": "synced",
                "error_message": None,
                "last_updated_at": "2026-06-29T09:00:00Z",
                "stale_after": "2126-06-29T15:00:00.250000Z",
            }
        ],
        "total": 1,
        "page": 1,
        "limit": 25,
        "overview": {
            "posts": 1,
            "metrics": {"views": 1240, "reach": 980, "likes": 84, "comments": 6, "shares": 12},
        },
    }


def test_metric_beyond_53_bits_keeps_every_digit(api: Api) -> None:
    api.rows.publication(analytics={"metrics": {"views": 2**63 - 1, "likes": 0}})

    assert api.posts()["items"][0]["metrics"] == {"views": 2**63 - 1, "likes": 0}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["c", "b", "a"]),
        ({"postId": "post_b"}, ["b"]),
        ({"postId": "900719925474099301"}, ["a"]),
        ({"postId": "publish~1"}, ["c"]),
        ({"postId": "post_b", "platform": "instagram"}, ["b"]),
        ({"postId": "post_b", "platform": "x"}, []),
        ({"accountId": "acc_tiktok"}, ["c"]),
        ({"accountId": "acc_nobody"}, []),
        ({"platform": "instagram"}, ["b", "a"]),
        ({"accountId": "acc_1", "platform": "instagram"}, ["b", "a"]),
        ({"accountId": "acc_1", "platform": "tiktok"}, []),
        ({"accountId": "acc_1", "fromDate": "2026-06-02"}, ["b"]),
        ({"fromDate": "2026-06-02", "toDate": "2026-06-02"}, ["b"]),
        ({"postId": "post_a", "fromDate": "2026-06-02"}, []),
    ],
)
def test_filters_and_their_combinations(api: Api, parameters: dict[str, str], expected: list[str]) -> None:
    api.rows.account("acc_tiktok", platform="tiktok")
    days = [datetime(2026, 6, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    api.rows.publication(post_id="post_a", platform_post_id="900719925474099301", created_at=days[0])
    same = "post_b"
    api.rows.publication(post_id=same, platform_post_id=same, publish_id=same, created_at=days[1])
    api.rows.publication(
        "acc_tiktok", post_id="post_c", platform_post_id=None, publish_id="publish~1", created_at=days[2]
    )

    page = api.posts(**parameters)

    assert [item["post_id"] for item in page["items"]] == [f"post_{name}" for name in expected]
    assert page["total"] == len(expected)


def test_publish_id_is_shown_until_the_public_id_is_known(api: Api) -> None:
    api.rows.publication(platform_post_id=None, publish_id="publish~1")

    assert api.posts()["items"][0]["platform_post_id"] == "publish~1"


def test_pages_follow_each_other_newest_first_with_a_stable_tie_break(api: Api) -> None:
    ids = [api.rows.publication(post_id=f"post_{n}", created_at=CREATED_AT) for n in range(7)]
    newest = api.rows.publication(post_id="post_new", created_at=CREATED_AT + timedelta(seconds=1))

    pages = [api.posts(page=page, limit=3) for page in (1, 2, 3, 4)]

    seen = [item["post_id"] for page in pages for item in page["items"]]
    assert seen == ["post_new", *[f"post_{n}" for n in reversed(range(7))]]
    assert [(page["page"], page["limit"], page["total"]) for page in pages] == [
        (n, 3, 8) for n in (1, 2, 3, 4)
    ]
    assert newest > ids[-1]


def test_overview_is_of_this_page_with_ratios_weighted(api: Api) -> None:
    api.rows.account("acc_li", platform="linkedin")
    api.rows.publication(post_id="post_both", analytics={"metrics": {"views": 10, "likes": 1}})
    for engagement, impressions in ((0.5, 100), (0.1, 300)):
        api.rows.publication(
            "acc_li",
            post_id="post_both",
            analytics={
                "metrics": {
                    "share_statistics_engagement": engagement,
                    "share_statistics_impression_count": impressions,
                }
            },
        )

    assert api.posts()["overview"] == {
        "posts": 1,
        "metrics": {
            "views": 10,
            "likes": 1,
            "share_statistics_impression_count": 400,
            "share_statistics_engagement": pytest.approx(0.2),
        },
    }
    assert api.posts(limit=1)["overview"]["metrics"] == {
        "share_statistics_impression_count": 300,
        "share_statistics_engagement": pytest.approx(0.1),
    }


def test_ratio_of_zero_is_a_measurement(api: Api) -> None:
    metrics = {"share_statistics_engagement": 0.0, "share_statistics_impression_count": 10}
    api.rows.publication(analytics={"metrics": metrics})

    assert api.posts()["overview"]["metrics"] == metrics


def test_ratio_without_weight_is_left_out_of_the_overview(api: Api) -> None:
    metrics = {"share_statistics_engagement": 0.5, "share_statistics_impression_count": 0}
    api.rows.publication(analytics={"metrics": metrics})

    assert api.posts()["overview"]["metrics"] == {"share_statistics_impression_count": 0}
