"""An endpoint, what it follows, and a sender whose steps the test takes; time passes by moving instants."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import Engine

from shared import database
from shared.webhooks import endpoints
from shared.webhooks.urls import parse_networks
from tests.harness import Harness
from tests.worker.webhooks.receiver import Receiver
from worker.webhooks import claims
from worker.webhooks.claims import Claim, Places
from worker.webhooks.delivery import Poster
from worker.webhooks.sender import SenderContext, deliver

KEEP: Final = timedelta(days=30)
LOOPBACK: Final = parse_networks("127.0.0.0/8")
_MOST_STEPS: Final = 100


@dataclass
class World:
    """One workspace with an endpoint, and a sender."""

    harness: Harness
    receiver: Receiver
    context: SenderContext
    sender: Engine
    endpoint_id: str = ""
    secret: SecretStr = field(default_factory=lambda: SecretStr(""))
    places: Places = field(default_factory=lambda: Places(64))

    def add(self, *types: str, thin: bool = False, beginning: bool = False, url: str = "") -> str:
        """Add an endpoint of the receiver; return its id."""
        with self.harness.engine.begin() as connection:
            endpoint_id, self.secret = endpoints.add(
                connection,
                self.context.vault,
                "ws_1",
                url or self.receiver.url,
                types,
                thin=thin,
                from_beginning=beginning,
            )
        return endpoint_id

    def publish(self, number: int = 1, account_id: str = "acc_1") -> list[str]:
        """Store publications and return their ids as the feed has them."""
        if not self.harness.execute("SELECT FROM accounts WHERE account_id = :id", id=account_id):
            self.harness.account(account_id)
        before = {one for (one,) in self.harness.execute("SELECT id FROM publications")}
        self.harness.execute(
            "INSERT INTO publications (workspace_id, post_id, account_id, platform, created_at)"
            " SELECT 'ws_1', gen_random_uuid()::text, :account, 'instagram', now()"
            " FROM generate_series(1, :number)",
            account=account_id,
            number=number,
        )
        ids = [one for (one,) in self.harness.execute("SELECT id FROM publications ORDER BY id")]
        stored = [one for one in ids if one not in before]
        self.harness.execute(
            "INSERT INTO post_analytics (publication_id) SELECT unnest(CAST(:ids AS bigint[]))", ids=stored
        )
        return [str(one) for one in stored]

    def change(self, *ids: str, error: str = "x") -> None:
        """Change rows, in one transaction."""
        self.harness.execute(
            "UPDATE post_analytics SET error_message = :error || gen_random_uuid()"
            " WHERE publication_id = ANY(CAST(:ids AS bigint[]))",
            error=error,
            ids=list(ids),
        )

    def claim(self) -> Sequence[Claim]:
        """Let the sender probe for news and claim."""
        self.harness.execute("UPDATE webhook_probe SET probed_at = '-infinity'")
        self.harness.execute("UPDATE webhook_endpoints SET rest_until = now()")
        with self.sender.begin() as connection:
            claims.probe(connection)
        with self.sender.begin() as connection:
            return claims.claim(connection, self.places)

    def step(self) -> bool:
        """Deliver once to every endpoint that is due; return whether any was."""
        claimed = self.claim()
        for one in claimed:
            deliver(self.context, one)
            self.places.release(one)
        return bool(claimed)

    def settle(self) -> None:
        """Take steps until nothing is due."""
        for _ in range(_MOST_STEPS):
            if not self.step():
                return
        raise AssertionError("there is no end of deliveries")

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the endpoints: what lies in the future comes nearer, the past goes further."""
        back = timedelta(seconds=seconds)
        self.harness.execute(
            "UPDATE webhook_endpoints SET next_run_at = next_run_at - :back,"
            " failing_since = failing_since - :back, reported_at = reported_at - :back,"
            " former_secret_until = former_secret_until - :back",
            back=back,
        )
        self.harness.execute("UPDATE webhook_refused_rows SET next_try_at = next_try_at - :back", back=back)

    def row(self, endpoint_id: str = "") -> Any:
        """Return an endpoint's row, and how long it waits."""
        return self.harness.execute(
            "SELECT *, EXTRACT(epoch FROM next_run_at - now())::float8 AS waits FROM webhook_endpoints"
            " WHERE endpoint_id = :id",
            id=endpoint_id or self.endpoint_id,
        )[0]


@contextmanager
def open_world(harness: Harness, receiver: Receiver) -> Iterator[World]:
    """Open a world with one endpoint that has seen the account ``acc_1``."""
    harness.account("acc_1")
    sender = database.connect(
        harness.engine.url.render_as_string(hide_password=False), application="tests", role="dravo_sender"
    )
    try:
        with Poster(LOOPBACK, 8) as poster:
            context = SenderContext(sender, harness.context.vault, poster, KEEP, disable_days=5)
            world = World(harness, receiver, context, sender)
            world.endpoint_id = world.add()
            yield world
    finally:
        sender.dispose()
