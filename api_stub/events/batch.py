"""A batch of events: its events, those that are refused, and its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class EventType(StrEnum):
    """The types of events that the rest of Dravo sends."""

    PUBLISHED = "publication.published"
    DELETED = "publication.deleted"
    CONNECTED = "account.connected"
    RECONNECTED = "account.reconnected"
    DISCONNECTED = "account.disconnected"
    ACCOUNT_ERASED = "account.erased"
    WORKSPACE_ERASED = "workspace.erased"


OF_ACCOUNTS: Final = frozenset(
    {EventType.CONNECTED, EventType.RECONNECTED, EventType.DISCONNECTED, EventType.ACCOUNT_ERASED}
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a batch; its envelope is validated, ``data`` is not."""

    index: int
    event_id: str
    type: EventType
    data: Mapping[str, Any]

    @property
    def account_id(self) -> str:
        """The id of the account that the event names; empty when it names none."""
        account_id = self.data.get("account_id")
        return account_id if isinstance(account_id, str) and account_id.isprintable() else ""


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """One refused event, and the reason."""

    index: int
    event_id: str | None
    message: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a committed batch."""

    accepted: int
    duplicates: int
    """Events that an earlier batch has committed; they change nothing."""
    refused: tuple[RejectedEvent, ...]
