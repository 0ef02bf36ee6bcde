"""Fairness: nobody takes all places of a sender, and who has waited longest is next."""

import pytest

from tests.worker.webhooks.world import World
from worker.webhooks import claims
from worker.webhooks.claims import Claim, Places


def test_workspace_and_host_have_four_places_each() -> None:
    places = Places(64)
    assert [places.take("ws_1", f"h{n}", slow=False) for n in range(5)] == [True] * 4 + [False]
    assert [places.take(f"ws_{n}", "one.example", slow=False) for n in range(2, 7)] == [True] * 4 + [False]
    assert (places.full_workspaces, places.full_hosts) == (["ws_1"], ["one.example"])

    places.release(Claim("e", "ws_1", 1, "h0", slow=False))

    assert places.take("ws_1", "h9", slow=False)


def test_slow_endpoints_share_a_quarter_of_the_places() -> None:
    places = Places(8)
    assert [places.take(f"ws_{n}", f"h{n}", slow=True) for n in range(3)] == [True, True, False]
    assert [places.take(f"ok_{n}", f"o{n}", slow=False) for n in range(7)] == [True] * 6 + [False]
    assert places.free == 0


def test_endpoint_that_has_waited_longest_is_claimed_first(world: World) -> None:
    for number, waited in enumerate((50, 10, 20, 30, 40, 15, 25, 35, 45, 60)):
        world.harness.execute(
            "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, next_run_at)"
            " VALUES (:id, :w, '', :w, '', now() - CAST(:waited AS int) * interval '1 second')",
            id=f"whe_{number}",
            w=f"ws_{number + 10}",
            waited=waited,
        )
    world.places = Places(2)

    assert {one.endpoint_id for one in world.claim()} == {"whe_0", "whe_9"}


@pytest.mark.parametrize(
    ("workspace", "host"), [("'many_' || n", "'many.example'"), ("'many'", "n || '.example'")]
)
def test_many_endpoints_of_one_host_or_workspace_do_not_hide_another_one(
    world: World, workspace: str, host: str
) -> None:
    world.harness.execute(
        "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, next_run_at)"
        f" SELECT 'many_' || n, {workspace}, '', {host}, '', now() - interval '1 hour'"
        " FROM generate_series(1, 300) n"
    )
    world.harness.execute(
        "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, next_run_at)"
        " VALUES ('other', 'ws_9', '', 'other.example', '', now() - interval '1 second')"
    )

    first = {one.endpoint_id[:4] for one in world.claim()}
    second = {one.endpoint_id for one in world.claim()}

    assert (first, second) == ({"many"}, {"other"})


def test_two_senders_claim_no_endpoint_twice(world: World) -> None:
    world.publish()
    others, world.places = world.places, Places(64)
    first = world.claim()
    world.places = others

    assert (len(first), world.claim()) == (1, [])


def test_sender_with_one_place_leaves_other_endpoints_to_other_senders(world: World) -> None:
    world.harness.execute(
        "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, next_run_at)"
        " SELECT 'e_' || n, 'ws_' || n + 9, '', 'h_' || n, '', now() - interval '1 hour'"
        " FROM generate_series(1, 20) n"
    )
    with world.sender.begin() as one, world.sender.begin() as other:
        assert len(claims.claim(one, Places(1))) == 1
        assert len(claims.claim(other, Places(64))) >= 16
