"""Which endpoints are probed and claimed, among endpoints in every state."""

from dataclasses import replace
from datetime import timedelta

from shared.webhooks import endpoints
from tests.worker.webhooks.ending import notice, prepared, refused, set_own
from tests.worker.webhooks.world import World
from worker.webhooks import claims
from worker.webhooks.claims import Claim, Places
from worker.webhooks.rules import Progress

LATER = "now() + interval '1 hour'"
BEFORE = "now() - interval '1 second'"


def endpoint(world: World, name: str, workspace: str = "ws_9", **columns: str) -> None:
    """Store an endpoint; the columns are SQL."""
    given = {
        "endpoint_id": f"'{name}'",
        "workspace_id": f"'{workspace}'",
        "url": "''",
        "host": f"'{name}.example'",
        "sealed_secret": "''",
        "rest_until": BEFORE,
        **columns,
    }
    world.harness.execute(
        f"INSERT INTO webhook_endpoints ({', '.join(given)}) VALUES ({', '.join(given.values())})"
    )


def claim(world: World, places: Places) -> list[Claim]:
    with world.sender.begin() as connection:
        return claims.claim(connection, places)


def test_enabled_endpoints_whose_time_has_come_are_claimed_and_leased(world: World) -> None:
    endpoint(world, "due", next_run_at=BEFORE, claim_seq="4")
    endpoint(world, "later", next_run_at=LATER)
    endpoint(world, "waiting", next_run_at="NULL")
    endpoint(world, "disabled", next_run_at=BEFORE, state="'disabled'")
    endpoint(world, "slow", workspace="ws_8", next_run_at=BEFORE, slow="TRUE")
    endpoint(world, "failed", workspace="ws_7", next_run_at=BEFORE, failures="2")

    claimed = sorted(claim(world, Places(64)), key=lambda one: one.endpoint_id)

    assert claimed == [
        Claim("due", "ws_9", 5, "due.example", slow=False),
        Claim("failed", "ws_7", 1, "failed.example", slow=True),
        Claim("slow", "ws_8", 1, "slow.example", slow=True),
    ]
    waits = world.harness.execute(
        "SELECT next_run_at - now() AS wait FROM webhook_endpoints WHERE endpoint_id = 'due'"
    )[0].wait
    assert timedelta(seconds=5) < waits <= claims.LEASE
    assert claim(world, Places(64)) == []


def test_full_workspaces_hosts_and_slow_places_are_passed_over(world: World) -> None:
    places = Places(64)
    for number in range(4):
        places.take("ws_full", f"h{number}", slow=False)
        places.take(f"ws_{number}", "full.example", slow=False)
    for number in range(16):
        places.take(f"slow_{number}", f"slow_{number}", slow=True)
    endpoint(world, "workspace", workspace="ws_full", next_run_at=BEFORE)
    endpoint(world, "host", host="'full.example'", next_run_at=BEFORE)
    endpoint(world, "slow", next_run_at=BEFORE, slow="TRUE")
    endpoint(world, "failed", next_run_at=BEFORE, failures="1")
    endpoint(world, "other", next_run_at=BEFORE)

    assert [one.endpoint_id for one in claim(world, places)] == ["other"]


def test_probe_makes_waiting_endpoints_due_that_the_feed_has_passed(world: World) -> None:
    world.publish()
    present = "(SELECT max(changed_in) FROM changes)"
    behind = {"next_run_at": "NULL"}
    caught_up = {**behind, "changed_in": present, "changed_key": "9223372036854775807"}
    endpoint(world, "behind", "ws_1", **behind)
    endpoint(world, "same_transaction", "ws_1", **{**caught_up, "changed_key": "0"})
    endpoint(world, "caught_up", "ws_1", **caught_up)
    endpoint(world, "of_another_workspace", "ws_2", **behind)
    endpoint(world, "resting", "ws_1", **{**behind, "rest_until": LATER})
    endpoint(world, "disabled", "ws_1", **behind, state="'disabled'")
    endpoint(world, "leased", "ws_1", next_run_at=LATER)
    for name, next_try in (("refused_due", BEFORE), ("refused_later", LATER)):
        endpoint(world, name, "ws_1", **caught_up)
        world.harness.execute(
            "INSERT INTO webhook_refused_rows (endpoint_id, workspace_id, subject, next_try_at)"
            f" VALUES ('{name}', 'ws_1', '7', {next_try})"
        )
    world.harness.execute("UPDATE webhook_probe SET probed_at = '-infinity'")

    with world.sender.begin() as connection:
        claims.probe(connection)
    due = world.harness.execute(
        "SELECT endpoint_id FROM webhook_endpoints WHERE next_run_at <= now() AND endpoint_id <> :own",
        own=world.endpoint_id,
    )

    assert {one.endpoint_id for one in due} == {"behind", "same_transaction", "refused_due"}
    with world.sender.begin() as connection:
        assert claims.probe(connection, timedelta(hours=1)) == 0, "it was done just now"


def test_change_of_an_account_makes_a_waiting_endpoint_due(world: World) -> None:
    with world.harness.engine.begin() as connection:
        for one in endpoints.list_endpoints(connection):
            endpoints.disable(connection, one, "the others")
    endpoint(world, "waiting", "ws_1", next_run_at="NULL")
    endpoint(world, "elsewhere", "ws_2", next_run_at="NULL")

    assert [one.endpoint_id for one in world.claim()] == ["waiting"]


def test_claims_that_were_not_started_are_due_again_unless_others_have_them(world: World) -> None:
    endpoint(world, "mine", next_run_at=BEFORE)
    endpoint(world, "lost", next_run_at=BEFORE)
    claimed = claim(world, Places(64))
    world.harness.execute("UPDATE webhook_endpoints SET claim_seq = claim_seq + 1 WHERE endpoint_id = 'lost'")

    with world.sender.begin() as connection:
        claims.release_all(connection, claimed)

    assert [one.endpoint_id for one in claim(world, Places(64))] == ["mine"]


def test_endpoint_is_loaded_with_what_is_its_own(world: World) -> None:
    world.publish()
    other = world.add()
    notice(world, other)
    refused(world, "7", other)
    set_own(
        world,
        "types = '{analytics.updated}', failures = 2, rows_allowed = 3, most_rows = 5, refused_alone = 1,"
        " redelivery = 6, sealed_former_secret = 'former', former_secret_until = now() + interval '1 hour'",
    )
    endpoint, _ = prepared(world)

    assert endpoint.progress == Progress(2, 3, 5, 1)
    assert (endpoint.has_notices, endpoint.has_refused_rows) == (False, False)
    assert endpoint.sealed_secrets == (world.row().sealed_secret, "former")
    assert (endpoint.recipient.types, endpoint.recipient.redelivery) == (frozenset({"analytics.updated"}), 6)
    set_own(world, "former_secret_until = now()")
    notice(world, world.endpoint_id)
    refused(world, "7")
    with world.sender.begin() as connection:
        again = claims.load(connection, endpoint.claim)
    assert again is not None
    assert again.sealed_secrets == (world.row().sealed_secret,)
    assert (again.has_notices, again.has_refused_rows) == (True, True)


def test_claim_holds_for_thirty_seconds_and_passes_over_locked_endpoints(world: World) -> None:
    other = world.add()
    world.harness.execute("UPDATE webhook_endpoints SET next_run_at = now() - interval '1 hour'")
    with world.harness.engine.begin() as busy, world.sender.begin() as connection:
        busy.exec_driver_sql(
            "SELECT FROM webhook_endpoints WHERE endpoint_id = %(id)s FOR UPDATE", {"id": world.endpoint_id}
        )
        connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        claimed = claims.claim(connection, claims.Places(4))
        leases = connection.exec_driver_sql(
            "SELECT endpoint_id, next_run_at - now() FROM webhook_endpoints WHERE next_run_at > now()"
        ).all()

    assert [one.endpoint_id for one in claimed] == [other]
    assert [tuple(one) for one in leases] == [(other, timedelta(seconds=30))]


def test_probe_passes_over_locked_endpoints_and_is_done_once_in_its_interval(world: World) -> None:
    other = world.add()
    world.publish()
    world.harness.execute("UPDATE webhook_endpoints SET next_run_at = NULL, rest_until = now()")
    world.harness.execute("UPDATE webhook_probe SET probed_at = clock_timestamp()")
    with world.harness.engine.begin() as busy, world.sender.begin() as connection:
        busy.exec_driver_sql(
            "SELECT FROM webhook_endpoints WHERE endpoint_id = %(id)s FOR UPDATE", {"id": world.endpoint_id}
        )
        connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        assert claims.probe(connection, timedelta(hours=1)) == 0, "another sender has just done it"
        world.harness.execute("UPDATE webhook_probe SET probed_at = '-infinity'")
        assert claims.probe(connection, timedelta(hours=1)) == 1

    assert (world.row(other).waits <= 0, world.row().next_run_at) == (True, None)


def test_many_slow_endpoints_do_not_hide_a_fast_one(world: World) -> None:
    world.harness.execute(
        "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, next_run_at,"
        " slow, failures)"
        "  SELECT 'slow_' || n, 'slow_' || n, '', 'slow_' || n, '', now() - interval '1 hour', n % 2 = 0,"
        " n % 2"
        " FROM generate_series(1, 300) n"
    )
    world.publish()
    places = claims.Places(4)
    assert places.take("ws_9", "nine.example", slow=True)
    world.places = places

    assert [one.endpoint_id for one in world.claim()] == [world.endpoint_id]


def test_released_claims_are_of_their_workspace(world: World) -> None:
    world.publish()
    endpoint, _ = prepared(world)
    foreign = replace(endpoint.claim, workspace_id="ws_2")
    with world.sender.begin() as connection:
        claims.release_all(connection, [foreign])
    assert world.row().waits > 0
