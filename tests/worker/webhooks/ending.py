"""A claimed endpoint whose next delivery ends as the test says; the rows that an end may change."""

from typing import Any, Final

from tests.worker.webhooks.world import KEEP, World
from worker.webhooks import claims, records
from worker.webhooks.claims import LoadedEndpoint
from worker.webhooks.rules import Answer, DeliveryOutcome
from worker.webhooks.upcoming import Upcoming, upcoming

TAKEN: Final = Answer(DeliveryOutcome.DELIVERED, 0.5, 204)
REFUSED: Final = Answer(DeliveryOutcome.REFUSED, 0.5, 500)


def prepared(world: World) -> tuple[LoadedEndpoint, Upcoming]:
    """Return a claimed endpoint with its next delivery."""
    (claim,) = (one for one in world.claim() if one.endpoint_id == world.endpoint_id)
    with world.sender.begin() as connection:
        endpoint = claims.load(connection, claim)
        assert endpoint is not None
        return endpoint, upcoming(connection, endpoint, KEEP)


def end(world: World, endpoint: LoadedEndpoint, sent: Upcoming, answer: Answer) -> Any:
    """Record how a delivery ended; return the endpoint's row as the same transaction sees it."""
    with world.sender.begin() as connection:
        assert records.record(connection, endpoint, sent, answer, days=5)
        return connection.exec_driver_sql(
            "SELECT *, next_run_at - now() AS waits, rest_until - now() AS rests, now() AS now"
            " FROM webhook_endpoints WHERE endpoint_id = %(id)s",
            {"id": endpoint.claim.endpoint_id},
        ).one()


def set_own(world: World, columns: str) -> None:
    world.harness.execute(
        f"UPDATE webhook_endpoints SET {columns} WHERE endpoint_id = :id", id=world.endpoint_id
    )


def notice(world: World, endpoint_id: str, kind: str = "webhook.failing") -> int:
    ((stored,),) = world.harness.execute(
        "INSERT INTO webhook_notices (endpoint_id, workspace_id, type, body)"
        " VALUES (:id, 'ws_1', :kind, '{}') RETURNING notice_id",
        id=endpoint_id,
        kind=kind,
    )
    return int(stored)


def refused(
    world: World, subject: str, endpoint_id: str = "", next_try: str = "now()", tries: int = 0
) -> None:
    world.harness.execute(
        "INSERT INTO webhook_refused_rows (endpoint_id, workspace_id, subject, tries, next_try_at)"
        f" VALUES (:id, 'ws_1', :subject, :tries, {next_try})",
        id=endpoint_id or world.endpoint_id,
        subject=subject,
        tries=tries,
    )
