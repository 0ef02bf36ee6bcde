"""The schema, for Alembic and for readers alone: a sentence per table and column.

No service queries by these classes. Services run SQL text (decision 0009), and a test compares these classes
with the schema that the migrations build. Tables are narrow where they are hot and append-only where they are
large. The file exceeds 300 lines because it describes the whole schema in one place.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from shared.vocabulary import AccountState, Reason, SyncStatus


class TransactionNumber(UserDefinedType[str]):
    """PostgreSQL's ``xid8``: the number of a transaction, never used again."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the name of the type."""
        return "XID8"


class Base(DeclarativeBase):
    """All tables of this project."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


class Account(Base):
    """A connected account: its sealed credentials, and whether its posts may be fetched."""

    __tablename__ = "accounts"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    platform: Mapped[str]
    platform_account_id: Mapped[str]
    platform_user_id: Mapped[str | None]
    """The person who connected it, as the platform's signals name them; at Meta the app-scoped id."""
    login: Mapped[str | None]
    """Instagram only: ``facebook`` or ``instagram``."""
    kind: Mapped[str | None]
    """LinkedIn only: ``organization`` or ``member``."""
    name: Mapped[str | None]
    sealed_access_token: Mapped[str | None]
    """Fernet ciphertext; opened in the worker only."""
    sealed_refresh_token: Mapped[str | None]
    token_expires_at: Mapped[datetime | None]
    refresh_token_expires_at: Mapped[datetime | None]
    token_minted_at: Mapped[datetime | None]
    """When the access token was renewed; NULL for an imported one, whose age is unknown."""
    token_version: Mapped[int] = mapped_column(BigInteger, server_default=sql("1"))
    """Counts stored token pairs, so that a refusal of an older pair does not affect the newer one."""
    scopes: Mapped[list[str]] = mapped_column(server_default=sql("'{}'"))
    state: Mapped[str] = mapped_column(server_default=AccountState.ACTIVE.value)
    state_reason: Mapped[str | None]
    """What its owner must do while the state is not ``active``."""
    state_changed_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    connected_at: Mapped[datetime | None]
    """When its owner connected it again, also while it was active; NULL: not since that is recorded."""
    erasure: Mapped[str | None]
    """The code of the erasure under way: nothing is stored for the account any more."""

    changed_in: Mapped[str | None] = mapped_column(TransactionNumber)
    """The transaction in which the state changed, for the delta feed; ``NULL``: not filled in yet."""

    __table_args__ = (
        Index("accounts_by_workspace", "workspace_id"),
        Index(
            "accounts_in_order",
            "workspace_id",
            "changed_in",
            postgresql_where=sql("changed_in IS NOT NULL"),
        ),
    )


class Publication(Base):
    """One published item on one platform."""

    __tablename__ = "publications"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    workspace_id: Mapped[str]
    post_id: Mapped[str]
    """The Dravo post; one post may be published to several accounts."""
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"))
    platform: Mapped[str]
    platform_post_id: Mapped[str | None]
    publish_id: Mapped[str | None]
    """TikTok only: the publishing process, until the public id is known."""
    platform_post_url: Mapped[str | None]
    media_type: Mapped[str | None]
    text: Mapped[str | None]
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]

    __table_args__ = (
        Index("publications_platform_post_account", "platform_post_id", "account_id", unique=True),
        Index(
            "publications_publish_account",
            "publish_id",
            "account_id",
            unique=True,
            postgresql_where=sql("publish_id IS NOT NULL"),
        ),
        Index("publications_post", "post_id", "workspace_id"),
        Index("publications_newest", "workspace_id", sql("created_at DESC"), sql("id DESC")),
        Index(
            "publications_account_newest",
            "account_id",
            "workspace_id",
            sql("created_at DESC"),
            sql("id DESC"),
        ),
        Index(
            "publications_newest_of_platform",
            "workspace_id",
            "platform",
            sql("created_at DESC"),
            sql("id DESC"),
        ),
    )


class RefreshState(Base):
    """When a publication runs next, and its claim. Narrow, because every refresh rewrites it three times."""

    __tablename__ = "refresh_state"

    publication_id: Mapped[int] = mapped_column(
        ForeignKey("publications.id", ondelete="CASCADE"), primary_key=True
    )
    account_id: Mapped[str]
    next_run_at: Mapped[datetime | None]
    """Due time, lease and retry timer at once; ``NULL``: not polled."""
    claim_seq: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    """Counts claims; the fencing token: a finish with an older number writes nothing."""
    claimed_at: Mapped[datetime | None]
    """When it was claimed, while a claim is open (``next_run_at`` is then the end of the lease)."""
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    """0: background lane. 1: interactive lane."""
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    """Consecutive starts without a completed sync; a start that ends in a pause is not counted."""
    unfinished: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    """Consecutive starts that recorded nothing, as of a job that kills its worker."""
    missing_since: Mapped[datetime | None]
    """When the post was first missing, while that is unconfirmed or confirmed."""
    reason: Mapped[str] = mapped_column(server_default=Reason.NEW.value)

    __table_args__ = (
        Index("refresh_state_due_of_account", "account_id", "next_run_at"),
        Index("refresh_state_due", "next_run_at"),
        Index("refresh_state_interactive", "account_id", "next_run_at", postgresql_where=sql("priority > 0")),
        Index(
            "refresh_state_open_claims",
            "claimed_at",
            "account_id",
            postgresql_where=sql("claimed_at IS NOT NULL"),
        ),
        Index(
            "refresh_state_troubled",
            "reason",
            "publication_id",
            postgresql_where=sql(
                "reason IN ('retry', 'paused', 'unconfirmed', 'processing', 'stopped', 'blocked',"
                " 'quarantined')"
            ),
        ),
        {"postgresql_with": {"fillfactor": "80"}},
    )


class PostAnalytics(Base):
    """The materialized table that the API serves: one row per publication, written by a valid claim."""

    __tablename__ = "post_analytics"

    publication_id: Mapped[int] = mapped_column(
        ForeignKey("publications.id", ondelete="CASCADE"), primary_key=True
    )
    sync_status: Mapped[str] = mapped_column(server_default=SyncStatus.PENDING.value)
    metrics: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    warnings: Mapped[list[str]] = mapped_column(server_default=sql("'{}'"))
    error_message: Mapped[str | None]
    last_updated_at: Mapped[datetime | None]
    """When the served metrics were read from the platform."""
    stale_after: Mapped[datetime | None]
    freshness: Mapped[dict[str, Any] | None]
    """Why ``stale_after`` is when it is, and what the next plan needs (`shared.freshness.plan`)."""
    attempted_at: Mapped[datetime | None]
    """When the last attempt ended, whatever its outcome."""
    outcome: Mapped[str | None]
    """How the last attempt ended (`shared.outcome_kinds.OutcomeKind`)."""
    outcome_detail: Mapped[str | None]
    """One sentence about it for people, without secrets."""
    snapshot_at: Mapped[datetime | None]
    """``taken_at`` of the newest snapshot, so that an unchanged read extends it."""
    version: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    """``claim_seq`` of the refresh that wrote this row."""

    __table_args__ = (
        Index(
            "post_analytics_unsynced",
            "sync_status",
            "publication_id",
            postgresql_where=sql("sync_status <> 'synced'"),
        ),
        Index(
            "post_analytics_ended",
            "publication_id",
            postgresql_where=sql(
                "outcome IN ('duplicate', 'gone', 'window_closed') AND sync_status <> 'requires_reconnect'"
            ),
        ),
    )


class ReadCount(Base):
    """How often clients have read a publication: counted in batches, and a lost batch is harmless."""

    __tablename__ = "read_counts"

    publication_id: Mapped[int] = mapped_column(
        ForeignKey("publications.id", ondelete="CASCADE"), primary_key=True
    )
    reads: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = ({"postgresql_with": {"fillfactor": "80"}},)


class AttemptLog(Base):
    """The last attempts of a publication that brought no numbers; the snapshots are those that did."""

    __tablename__ = "attempt_logs"

    publication_id: Mapped[int] = mapped_column(
        ForeignKey("publications.id", ondelete="CASCADE"), primary_key=True
    )
    entries: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """At most 20, the newest last (`shared.attempt_log`)."""

    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)


class QuotaPressure(Base):
    """The quota pressure of each budget (`shared.freshness.pressure`), computed once an hour."""

    __tablename__ = "quota_pressure"

    platform: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(primary_key=True)
    """Empty: the budget is the whole application's."""
    bucket: Mapped[str] = mapped_column(primary_key=True)
    """The bucket's kind and subject, or ``money``."""
    factor: Mapped[float] = mapped_column(Double)
    calls_per_hour: Mapped[float] = mapped_column(Double)
    counted: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    """Money only: the month's billed reads when it was computed."""
    computed_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))


class GrowthFit(Base):
    """The half-life of posts and their readers, fitted to the installation's own numbers."""

    __tablename__ = "growth_fits"

    platform: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(primary_key=True)
    """Empty: all accounts of the platform."""
    half_life: Mapped[float] = mapped_column(Double)
    """Hours."""
    pairs: Mapped[int] = mapped_column(BigInteger)
    """Successive snapshots that it rests on."""
    fitted_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    reads_at_first: Mapped[float | None] = mapped_column(Double)
    """Reads an hour of a new row (`shared.freshness.rule.Prior`)."""
    reads_at_any_age: Mapped[float | None] = mapped_column(Double)


class GrowthPrediction(Base):
    """How many reads with a predicted error turned out to be within 5 %, counted at refreshes."""

    __tablename__ = "growth_predictions"

    platform: Mapped[str] = mapped_column(primary_key=True)
    error_bin: Mapped[int] = mapped_column(primary_key=True)
    """`shared.freshness.promise.error_class` of the prediction."""
    refreshes: Mapped[float] = mapped_column(Double)
    """Reads that were judged."""
    within: Mapped[float] = mapped_column(Double)


class ReadAccuracy(Base):
    """Reads by clients in an hour, and how many of them were probably within 5 % of the truth."""

    __tablename__ = "read_accuracy"

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    reads: Mapped[int] = mapped_column(BigInteger)
    within: Mapped[float] = mapped_column(Double)

    __table_args__ = (Index("read_accuracy_by_hour", "hour"),)


class Snapshot(Base):
    """The history of readings, partitioned by month; unchanged readings are collapsed into one row."""

    __tablename__ = "snapshots"

    publication_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    taken_at: Mapped[datetime] = mapped_column(primary_key=True)
    last_seen_at: Mapped[datetime]
    """When the newest reading with the same metrics was taken."""
    reads: Mapped[int] = mapped_column(server_default=sql("1"))
    """How many readings this row represents."""
    claim_seq: Mapped[int] = mapped_column(BigInteger)
    sync_status: Mapped[str]
    metrics: Mapped[dict[str, Any]]
    freshness: Mapped[dict[str, Any] | None]
    """Why the row was due again when it was after the newest of these readings (`shared.freshness.plan`)."""

    __table_args__ = ({"postgresql_partition_by": "RANGE (taken_at)"},)


class DailySnapshot(Base):
    """The last reading of each UTC day of a month whose readings retention has removed; by month, too."""

    __tablename__ = "daily_snapshots"

    publication_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    taken_at: Mapped[datetime] = mapped_column(primary_key=True)
    last_seen_at: Mapped[datetime]
    reads: Mapped[int] = mapped_column(server_default=sql("1"))
    sync_status: Mapped[str]
    metrics: Mapped[dict[str, Any]]

    __table_args__ = ({"postgresql_partition_by": "RANGE (taken_at)"},)


class LastSnapshot(Base):
    """The newest reading of a publication, when the month that held it is gone."""

    __tablename__ = "last_snapshots"

    publication_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    taken_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    reads: Mapped[int] = mapped_column(server_default=sql("1"))
    sync_status: Mapped[str]
    metrics: Mapped[dict[str, Any]]


class RetentionRun(Base):
    """How far each kind of retention has come, and when it last ended."""

    __tablename__ = "retention_runs"

    unit: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[date | None]
    after_id: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    """The last publication that was rolled up."""
    ended_at: Mapped[datetime | None]


class PublicationCount(Base):
    """Publications per bucket of time, counted by triggers: exact totals and deep pages at any size."""

    __tablename__ = "publication_counts"

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(primary_key=True)
    """Empty: all accounts of the workspace, by platform."""
    grain: Mapped[str] = mapped_column(primary_key=True)
    """``month``, or ``day`` (for the whole workspace only)."""
    bucket: Mapped[date] = mapped_column(primary_key=True)
    """First UTC day of the bucket, by ``created_at``."""
    platform: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = ({"postgresql_with": {"fillfactor": "80"}},)


class Change(Base):
    """The newest change of a publication's served values, in the order of the delta feed; by triggers.

    No foreign key: a deleted publication leaves its row for a while.
    """

    __tablename__ = "changes"

    publication_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    workspace_id: Mapped[str]
    changed_in: Mapped[str] = mapped_column(TransactionNumber)
    """The transaction of the change."""
    changed_at: Mapped[datetime]
    gone: Mapped[dict[str, Any] | None]
    """The ids of a deleted publication; ``NULL`` while it exists."""

    __table_args__ = (
        Index("changes_in_order", "workspace_id", "changed_in", "publication_id"),
        Index("changes_gone", "changed_at", postgresql_where=sql("gone IS NOT NULL")),
    )


class ChangesBackfill(Base):
    """Publications that existed before ``changes`` and are not filled in yet; no row: all are."""

    __tablename__ = "changes_backfill"

    after_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Publications up to this id are filled in."""
    last_id: Mapped[int] = mapped_column(BigInteger)
    """The last publication that existed when the triggers were created."""


class Pause(Base):
    """A platform, endpoint, account or workspace that is not called until an instant."""

    __tablename__ = "pauses"

    platform: Mapped[str] = mapped_column(primary_key=True)
    """A platform, or ``*`` for all of them (an operator's pause)."""
    kind: Mapped[str] = mapped_column(primary_key=True)
    """`shared.vocabulary.PauseKind`: placed by a platform's answer or budget; ``credits``, ``misconfigured``,
    ``blocked``, which last until an operator has acted; ``operator_…``, which no answer changes."""
    subject: Mapped[str] = mapped_column(primary_key=True)
    """The account, endpoint or workspace; empty for the whole platform."""
    paused_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    paused_until: Mapped[datetime]
    reason: Mapped[str]
    """One sentence for operators."""
    refusals: Mapped[int] = mapped_column(server_default=sql("1"))
    """Consecutive refusals that placed or extended it."""


class RefusedMetric(Base):
    """A metric that a platform refuses for an object type, remembered by the fleet."""

    __tablename__ = "refused_metrics"

    platform: Mapped[str] = mapped_column(primary_key=True)
    api_version: Mapped[str] = mapped_column(primary_key=True)
    object_type: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    refused_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    probe_after: Mapped[datetime]
    """From then on one worker of the fleet requests it again."""


class ApiKey(Base):
    """An API key of a workspace; the key itself is shown once and never stored."""

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    name: Mapped[str | None]
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """SHA-256 of the key: the key is random and long, so a fast hash is enough."""
    created_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Turn(Base):
    """Fair share: how many calls a workspace was given, and when an account was given its last one.

    The table keeps its early name: schedulers of two versions share it during a rolling upgrade.
    """

    __tablename__ = "turns"

    scope: Mapped[str] = mapped_column(primary_key=True)
    """``workspace`` or ``account``."""
    subject: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[float] = mapped_column(Double, server_default=sql("1"))
    """A workspace of weight 2 gets twice the jobs of one of weight 1 while both have due rows."""
    served: Mapped[float] = mapped_column(Double, server_default=sql("0"))
    """Virtual time: its calls divided by its weight; the workspace with the least is next."""
    latest_cost: Mapped[float] = mapped_column(Double, server_default=sql("1"))
    """The calls of the last job that it was given."""
    served_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))

    __table_args__ = (
        Index("turns_given_last", "served_at", postgresql_where=sql("scope = 'workspace'")),
        {"postgresql_with": {"fillfactor": "70"}},
    )


class AccountTimer(Base):
    """When a row of an account is due, or earlier: inserted and deleted, never updated.

    Triggers of ``refresh_state`` and claims insert timers (`shared.refresh_state.ready`).
    """

    __tablename__ = "account_timers"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    timer_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    lane: Mapped[int] = mapped_column(SmallInteger)
    """0: background, all rows. 1: interactive, rows whose ``priority`` is 1."""
    due_at: Mapped[datetime]
    """When a claim looks at the account: never before the instant at which the timer was inserted."""
    rows_from: Mapped[datetime]
    """No row for which the timer was inserted has an earlier ``next_run_at``."""

    __table_args__ = (Index("account_timers_due", "lane", "due_at"),)


class ReadyAccount(Base):
    """The queue of accounts that have due rows, in the order of virtual time, by lane and platform."""

    __tablename__ = "ready_accounts"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    lane: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    workspace_id: Mapped[str]
    platform: Mapped[str]
    virtual_time: Mapped[float] = mapped_column(Double)
    """Virtual time of its next job; infinite while a pause applies to the account."""
    rows_from: Mapped[datetime]
    """No due row of the account has an earlier ``next_run_at``, unless a timer has passed."""

    __table_args__ = (
        Index("ready_accounts_in_order", "lane", "platform", "virtual_time"),
        Index("ready_accounts_of_workspace", "lane", "platform", "workspace_id", "virtual_time"),
    )


class PostReads(Base):
    """Reads that a platform has billed, one row per UTC day."""

    __tablename__ = "post_reads"

    platform: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    reads: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    """Publications fetched for the first time on that day."""
    held: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    """The former name of ``reserved``, kept equal by a trigger for services of earlier versions."""
    reserved: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    """Reads that jobs under way have reserved."""

    __table_args__ = ({"postgresql_with": {"fillfactor": "50"}},)


class EventSeen(Base):
    """The id of a committed event: the same event again changes nothing."""

    __tablename__ = "events_seen"

    event_id: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))


class AuditEntry(Base):
    """The audit log of operators: who did what and when, by command or on the page."""

    __tablename__ = "operator_acts"

    act_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    acted_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    ended_at: Mapped[datetime | None]
    """``NULL``: under way, or stopped before its end."""
    operator: Mapped[str]
    """The user of the operating system, or the name given at the page's login with its session."""
    via: Mapped[str]
    """``command`` or ``page``."""
    act: Mapped[str]
    """``pause``, ``resume``, ``try``, ``resync`` or ``release``."""
    subject: Mapped[dict[str, Any]]
    """A scope, filters or ids."""
    reason: Mapped[str | None]
    """The operator's reason."""
    rows: Mapped[int | None] = mapped_column(BigInteger)
    """Publications that it processed."""
    last: Mapped[int | None] = mapped_column(BigInteger)
    """The last publication that it processed; a stopped bulk re-sync resumes after it."""


class Erasure(Base):
    """A request to erase an account, a workspace or a post; when it has ended, a record without names."""

    __tablename__ = "erasures"

    code: Mapped[str] = mapped_column(primary_key=True)
    """Random, for the record and for whoever asked."""
    kind: Mapped[str]
    """``account``, ``workspace`` or ``post``."""
    subject: Mapped[dict[str, Any] | None]
    """What is erased; NULL once it has ended."""
    source: Mapped[str]
    """Who asked: ``command``, ``event``, ``replay``, ``retention`` or a platform."""
    phase: Mapped[str]
    requested_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    resume_after: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    """When the next step may run: a scan that found something is repeated later."""
    progress: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    """The last publication that the phase went through."""
    rows: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    """Deleted rows by table."""
    scan: Mapped[dict[str, Any] | None]
    """When the last scan ran, what it searched and what it found."""
    ended_at: Mapped[datetime | None]

    __table_args__ = (Index("erasures_open", "requested_at", postgresql_where=sql("ended_at IS NULL")),)


class ErasureIdentifier(Base):
    """An id or name of the subject of an erasure under way; deleted when it ends."""

    __tablename__ = "erasure_identifiers"

    code: Mapped[str] = mapped_column(ForeignKey("erasures.code", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)


class StoredSignal(Base):
    """A signal of a platform: applied once, however often it is sent."""

    __tablename__ = "signals"

    signal_id: Mapped[str] = mapped_column(primary_key=True)
    """The platform's id of the event, or a hash of the body."""
    platform: Mapped[str]
    kind: Mapped[str]
    at: Mapped[datetime | None]
    """When it happened, by the platform's clock."""
    subject: Mapped[dict[str, Any] | None]
    """Ids at the platform; NULL once it is applied."""
    received_at: Mapped[datetime] = mapped_column(server_default=sql("now()"))
    processed_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None]
    """What it changed, without names."""

    __table_args__ = (
        Index("signals_unprocessed", "received_at", postgresql_where=sql("processed_at IS NULL")),
        Index("signals_of_code", "signal_id", postgresql_ops={"signal_id": "text_pattern_ops"}),
    )


class OpsSummary(Base):
    """Figures of the whole fleet, maintained by the scheduler, so that no request counts rows."""

    __tablename__ = "ops_summary"

    part: Mapped[str] = mapped_column(primary_key=True)
    """``rows`` (row counts, slice by slice) or ``live`` (queried every few seconds)."""
    payload: Mapped[dict[str, Any]]
    told: Mapped[dict[str, Any]]
    """The former name of ``payload``, kept equal by a trigger for services of earlier versions."""
    counted_from: Mapped[datetime]
    """When the oldest figure in it was counted."""
    counted_at: Mapped[datetime]


class OpsHistory(Base):
    """The fleet every five minutes, kept for two days: the lines on the operators' page."""

    __tablename__ = "ops_history"

    at: Mapped[datetime] = mapped_column(primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    polled: Mapped[int] = mapped_column(BigInteger)
    """Rows that have a next run."""
    fresh: Mapped[int] = mapped_column(BigInteger)
    """Those of them that were read and whose ``stale_after`` had not passed."""
    oldest_overdue_seconds: Mapped[float | None] = mapped_column(Double)
    outcomes: Mapped[dict[str, Any]]
    """Rows whose last attempt ended in the five minutes before, by its outcome."""
