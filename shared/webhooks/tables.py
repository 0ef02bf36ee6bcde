"""The schema of webhooks, as in `shared.tables`: one sentence for each table; Alembic alone uses it."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKey, Identity, Index, Integer
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import Base, TransactionNumber

__all__ = ["Base"]

_ENDPOINT = "webhook_endpoints.endpoint_id"


class WebhookEndpoint(Base):
    """A receiver of a workspace's changes: its clock, its position in the feed, its secrets."""

    __tablename__ = "webhook_endpoints"

    endpoint_id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    url: Mapped[str]
    host: Mapped[str]
    types: Mapped[list[str]] = mapped_column(server_default=sql("'{}'"))
    """Empty: every type."""
    thin: Mapped[bool] = mapped_column(server_default=sql("false"))
    state: Mapped[str] = mapped_column(server_default="enabled")
    state_reason: Mapped[str | None]
    state_changed_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    created_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    sealed_secret: Mapped[str]
    sealed_former_secret: Mapped[str | None]
    """Signs too until ``former_secret_until``; then it is erased."""
    former_secret_until: Mapped[datetime | None]
    next_run_at: Mapped[datetime | None]
    """Due time, lease and retry timer at once; ``NULL``: caught up, or disabled."""
    claim_seq: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    """The fencing token: a record with an older number writes nothing."""
    rest_until: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    cursor: Mapped[str | None]
    """Its position; ``NULL``: the beginning."""
    changed_in: Mapped[str] = mapped_column(TransactionNumber, server_default=sql("'0'"))
    """The position's transaction and publication, for the probe."""
    changed_key: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    redelivery: Mapped[int] = mapped_column(server_default=sql("0"))
    """Counts redeliveries: the same content then has another id."""
    reset: Mapped[bool] = mapped_column(server_default=sql("false"))
    """Its next delivery says that it starts over."""
    rows_allowed: Mapped[int] = mapped_column(Integer, server_default=sql("50"))
    most_rows: Mapped[int] = mapped_column(Integer, server_default=sql("50"))
    failures: Mapped[int] = mapped_column(Integer, server_default=sql("0"))
    refused_alone: Mapped[int] = mapped_column(Integer, server_default=sql("0"))
    slow: Mapped[bool] = mapped_column(server_default=sql("false"))
    failing_since: Mapped[datetime | None]
    failure: Mapped[str | None]
    """The status or the kind of error of the last attempt, while it fails."""
    reported_at: Mapped[datetime | None]
    """When the workspace's other endpoints last learned that it fails."""
    delivered_at: Mapped[datetime | None]

    __table_args__ = (
        Index("webhook_endpoints_due", "next_run_at", postgresql_where=sql("state = 'enabled'")),
        Index("webhook_endpoints_by_workspace", "workspace_id"),
        {"postgresql_with": {"fillfactor": "70"}},
    )


class WebhookRefusedRow(Base):
    """A row that an endpoint refuses alone while it takes its successor."""

    __tablename__ = "webhook_refused_rows"

    endpoint_id: Mapped[str] = mapped_column(ForeignKey(_ENDPOINT, ondelete="CASCADE"), primary_key=True)
    workspace_id: Mapped[str]
    subject: Mapped[str] = mapped_column(primary_key=True)
    """The publication's id, or ``account:`` and the digest of an account's id."""
    refused_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    tries: Mapped[int] = mapped_column(Integer, server_default=sql("0"))
    next_try_at: Mapped[datetime | None]
    """``NULL``: it is not tried again until it changes."""

    __table_args__ = (Index("webhook_refused_rows_due", "next_try_at"),)


class WebhookNotice(Base):
    """News of a workspace's other endpoint that an endpoint has not got yet."""

    __tablename__ = "webhook_notices"

    notice_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey(_ENDPOINT, ondelete="CASCADE"))
    workspace_id: Mapped[str]
    type: Mapped[str]
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))

    __table_args__ = (Index("webhook_notices_of_endpoint", "endpoint_id", "notice_id"),)


class WebhookDelivery(Base):
    """One attempt to deliver, kept for seven days."""

    __tablename__ = "webhook_deliveries"

    delivery_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey(_ENDPOINT, ondelete="CASCADE"))
    workspace_id: Mapped[str]
    delivered_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    type: Mapped[str]
    message_id: Mapped[str]
    rows: Mapped[int]
    attempt: Mapped[int]
    outcome: Mapped[str]
    status: Mapped[int | None]
    failure: Mapped[str | None]
    seconds: Mapped[float] = mapped_column(Double)
    cursor_before: Mapped[str | None]
    """Where a redelivery of it begins."""

    __table_args__ = (
        Index("webhook_deliveries_of_endpoint", "endpoint_id", "delivery_id"),
        Index("webhook_deliveries_old", "delivered_at"),
    )


class WebhookSender(Base):
    """A sender that is alive."""

    __tablename__ = "webhook_senders"

    sender_id: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))


class WebhookProbe(Base):
    """When a sender last compared the endpoints with the feed: one of all does it every half second."""

    __tablename__ = "webhook_probe"

    probe: Mapped[str] = mapped_column(primary_key=True)
    probed_at: Mapped[datetime]

    __table_args__ = ({"postgresql_with": {"fillfactor": "10"}},)
