"""The claim: what is due, shared out, taken once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from scheduler.claim import JOBS_PER_ACCOUNT, Claims, claim
from shared.claims import release
from shared.vocabulary import Lane, Platform
from tests.stories import House

LEASE = timedelta(seconds=60)


def claimed(
    home: House, lane: Lane = Lane.BACKGROUND, *, jobs: int = 100, platform_jobs: int = 100, ahead: float = 0
) -> Claims:
    with home.engine.begin() as connection:
        return claim(
            connection,
            lane,
            jobs=jobs,
            platform_jobs=platform_jobs,
            lease=LEASE,
            top_up=dict.fromkeys(Platform, timedelta(seconds=ahead)),
        )


def test_due_rows_of_one_account_travel_together_up_to_the_batch_size(home: House) -> None:
    home.publications(home.account("acc_tt", Platform.TIKTOK), 25)

    claims = claimed(home)

    assert [len(job.claims) for job in claims.jobs] == [20]
    assert [len(job.claims) for job in claimed(home).jobs] == [5]


def test_what_is_not_due_or_not_usable_stays(home: House) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    home.publications(home.account("acc_later"), next_run_at=later)
    home.publications(home.account("acc_stopped"), next_run_at=None, reason="stopped")
    home.publications(home.account("acc_dead", state="requires_reconnect"))
    home.publications(home.account("acc_paused"))
    home.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'account', 'acc_paused', now() + interval '1 hour', 'limit')"
    )

    assert claimed(home).jobs == ()


def test_a_crowded_account_hides_nobody(home: House) -> None:
    home.publications(home.account("acc_crowd"), 300, next_run_at=datetime.now(UTC) - timedelta(days=3))
    small = home.publications(home.account("acc_small", workspace_id="ws_2"), 1)

    claims = claimed(home, jobs=2)

    assert {job.account_id for job in claims.jobs} == {"acc_crowd", "acc_small"}
    assert [(small[0], 1)] in [list(job.claims) for job in claims.jobs]


def test_workspaces_take_turns(home: House) -> None:
    for number in range(5):
        home.publications(
            home.account(f"acc_a{number}"), next_run_at=datetime.now(UTC) - timedelta(days=number + 2)
        )
    home.publications(home.account("acc_b", workspace_id="ws_2"))

    assert "acc_b" in {job.account_id for job in claimed(home, jobs=2).jobs}


def test_caps_per_account_and_per_platform_hold_inside_the_query(home: House) -> None:
    home.publications(home.account("acc_1", Platform.TIKTOK), 20 * (JOBS_PER_ACCOUNT + 2))
    rounds = [len(claimed(home).jobs) for _ in range(JOBS_PER_ACCOUNT + 2)]
    for number in range(6):
        home.publications(home.account(f"acc_fb{number}", Platform.FACEBOOK))

    assert rounds == [1] * JOBS_PER_ACCOUNT + [0, 0]
    assert len(claimed(home, platform_jobs=4).jobs) == 4


def test_an_expired_lease_is_claimed_again_and_the_old_claim_is_void(home: House) -> None:
    publication = home.publications(home.account("acc_1"))[0]
    first = claimed(home).jobs[0]
    home.execute("UPDATE refresh_state SET next_run_at = now() - interval '1 second'")

    second = claimed(home)

    assert second.expired_leases == 1
    assert second.jobs[0].claims == ((publication, first.claims[0][1] + 1),)


def test_nearly_due_siblings_fill_free_places_only_where_that_costs_nothing(home: House) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    for platform in (Platform.X, Platform.FACEBOOK):
        account = home.account(f"acc_{platform.value}", platform)
        home.publications(account, 1)
        home.execute("UPDATE publications SET platform_post_id = platform_post_id || 'due'")
        home.publications(account, 3, next_run_at=soon, reason="stale")
        home.execute("UPDATE publications SET platform_post_id = platform_post_id || 'x'")

    sizes = {job.account_id: len(job.claims) for job in claimed(home, ahead=600).jobs}

    assert sizes == {"acc_x": 4, "acc_facebook": 1}


def test_a_retry_or_a_pause_is_never_pulled_forward(home: House) -> None:
    account = home.account("acc_x", Platform.X)
    home.publications(account, 1)
    home.execute("UPDATE publications SET platform_post_id = 'due'")
    home.publications(account, 2, next_run_at=datetime.now(UTC) + timedelta(minutes=5), reason="retry")

    assert [len(job.claims) for job in claimed(home, ahead=600).jobs] == [1]


def test_the_interactive_lane_takes_only_what_people_wait_for(home: House) -> None:
    account = home.account("acc_1")
    home.publications(account, 3)
    home.execute(
        "UPDATE refresh_state SET priority = 1 WHERE publication_id = (SELECT min(id) FROM publications)"
    )

    assert [len(job.claims) for job in claimed(home, Lane.INTERACTIVE).jobs] == [1]


def test_several_schedulers_at_once_never_hand_out_a_claim_twice(home: House) -> None:
    for number in range(20):
        home.publications(home.account(f"acc_{number}", Platform.TIKTOK), 40)

    with ThreadPoolExecutor(5) as schedulers:
        rounds = list(schedulers.map(lambda _: claimed(home, jobs=5), range(20)))

    taken = [claim for claims in rounds for job in claims.jobs for claim in job.claims]
    assert len(taken) == len(set(taken)) == len({publication for publication, _ in taken})
    assert len(taken) > 400


def test_a_released_claim_is_due_at_once_and_void(home: House) -> None:
    home.publications(home.account("acc_1"), 2)
    jobs = claimed(home).jobs

    with home.engine.begin() as connection:
        assert release(connection, jobs) == 2
        assert release(connection, jobs) == 0

    assert len(claimed(home).jobs[0].claims) == 2
