"""Receivers, senders and transactions that fail while followers of the changes must miss nothing."""

import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from shared import database
from shared.webhooks import endpoints
from tests.faults.faults.kill import killed_at
from tests.faults.faults.upgrade import rolling_upgrade
from tests.faults.harness.another_server import promote_standby, restore_dump
from tests.faults.harness.clients.followers import WORKSPACE, Followers, following
from tests.faults.harness.environment import THREADS
from tests.faults.harness.waiting import sleep_for, wait_until
from tests.faults.judge.invariants import Tolerance
from tests.faults.matrix import Fault, RoundContext
from tests.servers import connect
from tests.worker.webhooks.receiver import OK, Request
from worker.webhooks.claims import LEASE

_TIMEOUT = 30.0
_EVERY_JOB = 2 * THREADS
"""The jobs that all workers run at once."""
_LEASE_ENDS = "UPDATE webhook_endpoints SET next_run_at = now() - interval '1 second'"

Inject = Callable[[RoundContext, Followers], None]


def _followed(inject: Inject, context: RoundContext, *, senders: int = 1) -> None:
    with following(context.environment, context.random, senders) as followers:
        inject(context, followers)


def receiver_down(context: RoundContext, followers: Followers) -> None:
    """Answer 503 for a while: afterwards each changed row goes out in its newest state."""
    followers.script = lambda _request: (503, {})
    followers.await_more()
    sleep_for(context.seconds(3, 30))
    followers.script = lambda _request: OK
    followers.retry_now()
    followers.await_more()


def receiver_refuses_one_row(context: RoundContext, followers: Followers) -> None:
    """Answer 500 for one row for a while; the others arrive, and it arrives in the end."""
    poison = followers.environment.value(
        "SELECT min(id)::text FROM publications WHERE workspace_id = %s", WORKSPACE
    )
    followers.script = lambda request: (500, {}) if poison in request.ids else OK
    for _ in range(int(context.seconds(8, 40))):
        followers.retry_now()
        sleep_for(0.3)
    followers.script = lambda _request: OK
    followers.environment.query("UPDATE webhook_refused_rows SET next_try_at = now()")


def receiver_limits_and_redirects(_context: RoundContext, followers: Followers) -> None:
    """Answer 429 with Retry-After, then 301 to loopback: nothing follows the redirect."""
    answers = iter([(429, {"retry-after": "1"}), (301, {"location": followers.receiver.url})])
    followers.script = lambda _request: next(answers, OK)
    followers.await_more()
    followers.retry_now()
    followers.await_more()
    followers.retry_now()


def receiver_hangs(_context: RoundContext, followers: Followers) -> None:
    """Leave requests unanswered beyond the sender's time limit; answered again, nothing is lost."""
    released = threading.Event()

    def hang(_request: Request) -> tuple[int, dict[str, str]]:
        released.wait(_TIMEOUT)
        return OK

    followers.script = hang
    followers.await_failure("timeout")
    followers.script = lambda _request: OK
    released.set()
    followers.retry_now()
    followers.await_more()


def receiver_trickles(_context: RoundContext, followers: Followers) -> None:
    """Send an answer byte by byte: the time limit counts for the whole delivery."""
    followers.receiver.trickle = 3.0
    followers.await_failure("timeout")
    followers.receiver.trickle = 0.0
    followers.retry_now()
    followers.await_more()


def host_moved_inside(_context: RoundContext, followers: Followers) -> None:
    """Let the endpoint's host resolve to loopback, which is not allowed: blocked, and not sent."""
    fleet = followers.environment.fleet
    fleet.stop(*fleet.of("worker.webhooks"))
    (url, host), *_ = followers.environment.query("SELECT url, host FROM webhook_endpoints")
    move = "UPDATE webhook_endpoints SET url = %s, host = %s, next_run_at = now()"
    followers.environment.query(move, "https://localhost/hooks", "localhost")
    careful = followers.start_sender(networks="")
    before = followers.delivered()
    followers.await_failure("blocked")
    assert followers.delivered() == before, "something was sent"
    fleet.stop(careful)
    followers.environment.query(move, url, host)
    followers.start_sender()
    followers.await_more()


def upgraded(context: RoundContext, followers: Followers) -> None:
    """Let services of the version before write beside those of this one."""
    rolling_upgrade(context)
    followers.await_more()


def promoted(_context: RoundContext, followers: Followers) -> None:
    """Promote a standby: cursors of the former timeline expire, and whoever starts again misses nothing."""
    promote_standby(followers.environment.postgres)
    _await_start_over(followers)


def restored(_context: RoundContext, followers: Followers) -> None:
    """Restore a dump on a new server, whose transaction numbers are behind those of the dump."""
    fleet = followers.environment.fleet
    members = [one for one in fleet.members.values() if not one.temporary]
    fleet.stop(*fleet.members.values())
    restore_dump(followers.environment.postgres)
    database.migrate(followers.environment.postgres.url)
    for member in members:
        fleet.start(member.module, name=member.name)
    followers.start_sender()
    _await_start_over(followers)


def _await_start_over(followers: Followers) -> None:
    followers.environment.fleet.restart_dead()
    followers.environment.await_api()
    if not followers.environment.fleet.of("worker.webhooks"):
        followers.start_sender()
    followers.retry_now()
    wait_until(lambda: followers.feed.restarts > 0, _TIMEOUT, "a cursor that has expired")
    wait_until(lambda: followers.resets > 0, _TIMEOUT, "an endpoint that starts over")


def receiver_gone(_context: RoundContext, followers: Followers) -> None:
    """Answer 410, which disables the endpoint; enabled again, it goes on where it stopped."""
    followers.script = lambda _request: (410, {})
    state = "SELECT state FROM webhook_endpoints"
    wait_until(lambda: followers.environment.value(state) == "disabled", _TIMEOUT, "a disabled endpoint")
    followers.script = lambda _request: OK
    with followers.engine.begin() as connection:
        endpoints.enable(connection, endpoints.find(connection, followers.endpoint_id))


def sender_killed_when_sent(_context: RoundContext, followers: Followers) -> None:
    """Kill a sender between answer and record: the same content comes again under the same id."""
    fleet = followers.environment.fleet
    fleet.stop(*fleet.of("worker.webhooks"))
    sleep_for(2)  # rows change meanwhile
    with fleet.stopped("worker"):
        # One row a delivery: events go on, and a longer run would be other content.
        followers.environment.query("UPDATE webhook_endpoints SET most_rows = 1, next_run_at = now()")
        fleet.await_exit(followers.start_sender("sent=kill"), _TIMEOUT)
        sent = followers.requests[-1].headers["webhook-id"]
        followers.environment.query(_LEASE_ENDS)
        followers.start_sender()
        wait_until(
            lambda: [one.headers["webhook-id"] for one in followers.requests].count(sent) == 2,
            _TIMEOUT,
            "the same id again",
        )
    followers.environment.query("UPDATE webhook_endpoints SET most_rows = 50")


def sender_frozen_past_its_lease(_context: RoundContext, followers: Followers) -> None:
    """Freeze a sender before it records: another one delivers on, and the position never goes back."""
    fleet = followers.environment.fleet
    fleet.stop(*fleet.of("worker.webhooks"))
    victim = followers.start_sender("sent=stop")
    wait_until(victim.frozen, _TIMEOUT, "a frozen sender")
    followers.environment.query(_LEASE_ENDS)
    followers.start_sender()
    followers.await_more(2)
    position = "SELECT changed_in::text::bigint FROM webhook_endpoints"
    before = followers.environment.value(position)
    victim.signal(signal.SIGCONT)
    followers.await_more(1)
    assert followers.environment.value(position) >= before, "the position went back"


def secret_rotated(_context: RoundContext, followers: Followers) -> None:
    """Rotate the secret: each delivery verifies with the former one and then with the new one."""
    with followers.engine.begin() as connection:
        endpoint = endpoints.find(connection, followers.endpoint_id)
        new = endpoints.rotate(connection, followers.environment.vault, endpoint, timedelta(hours=1))
    followers.await_more()
    followers.secret = new.get_secret_value()
    followers.await_more()


def redis_flushed(_context: RoundContext, followers: Followers) -> None:
    """Empty Redis: senders and the feed do not need it."""
    with followers.environment.redis() as client:
        client.flushall()
    followers.await_more()


def transaction_held_open(context: RoundContext, followers: Followers) -> None:
    """Hold a writing transaction open: the feed stands, and then misses nothing."""
    with connect(followers.environment.postgres.url) as writer:
        writer.execute("BEGIN")
        writer.execute("UPDATE accounts SET name = name WHERE workspace_id = %s", [WORKSPACE])
        sleep_for(1.5)
        newest = "SELECT max(changed_in)::text::bigint FROM webhook_endpoints"
        before = followers.environment.value(newest)
        sleep_for(context.seconds(2, 30))
        assert followers.environment.value(newest) == before, "the feed did not stand"
        writer.execute("COMMIT")
    followers.await_more()


def postgres_restarted(_context: RoundContext, followers: Followers) -> None:
    """Restart the server during a delivery, which comes again at the end of its lease."""
    postgres = followers.environment.postgres
    postgres.stop()
    postgres.start()
    followers.await_more(within=LEASE.total_seconds() + _TIMEOUT)


def worker_killed_when_recorded(context: RoundContext, followers: Followers) -> None:
    """Kill a worker with outcomes that are written and not committed: followers never see them."""
    killed_at("worker", "recorded")(context)
    followers.await_more()


def _fault(
    name: str,
    inject: Inject,
    *,
    senders: int = 1,
    late: timedelta = timedelta(),
    replaces_api: bool = False,
    lost_jobs: int = 0,
) -> Fault:
    # The workers are stopped while the copies are compared: the readings of that time come later.
    tolerance = Tolerance(late=late + timedelta(seconds=20), lost_jobs=lost_jobs)
    followed = partial(_followed, inject, senders=senders)
    return Fault(f"webhooks: {name}", followed, tolerance, short=False, replaces_api=replaces_api)


FAULTS = (
    _fault("receiver down", receiver_down),
    _fault("receiver refuses one row", receiver_refuses_one_row),
    _fault("receiver limits and redirects", receiver_limits_and_redirects),
    _fault("receiver hangs", receiver_hangs),
    _fault("receiver trickles", receiver_trickles),
    _fault("host moved inside", host_moved_inside),
    _fault("receiver gone", receiver_gone),
    _fault("sender killed when sent", sender_killed_when_sent),
    _fault("sender frozen past its lease", sender_frozen_past_its_lease, late=LEASE),
    _fault("two senders", lambda _context, followers: followers.await_more(5), senders=2),
    _fault("secret rotated", secret_rotated),
    _fault("Redis flushed", redis_flushed),
    _fault("transaction held open", transaction_held_open, late=timedelta(seconds=30)),
    _fault("PostgreSQL restarted", postgres_restarted, lost_jobs=_EVERY_JOB),
    _fault("PostgreSQL promoted", promoted, late=timedelta(seconds=30), lost_jobs=_EVERY_JOB),
    _fault("PostgreSQL restored from a dump", restored, late=timedelta(seconds=30), replaces_api=True),
    _fault("old and new services", upgraded, late=timedelta(seconds=30), replaces_api=True),
    _fault("worker killed when recorded", worker_killed_when_recorded),
)
