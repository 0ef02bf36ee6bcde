"""What is erased: an account, a workspace, or the publications of a post."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from sqlalchemy import Connection, text

from shared.operations.explain import find


class SubjectKind(StrEnum):
    """The kinds of subjects."""

    ACCOUNT = "account"
    WORKSPACE = "workspace"
    POST = "post"


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject of an erasure."""

    kind: SubjectKind
    workspace_id: str
    account_id: str | None = None
    """For an account."""
    publications: tuple[int, ...] = ()
    """For a post."""

    @property
    def where(self) -> str:
        """The condition on ``publications p`` that holds for its rows alone."""
        return _WHERE[self.kind]

    @property
    def account_where(self) -> str:
        """The condition on ``accounts a`` that holds for its accounts alone."""
        return _ACCOUNT_WHERE[self.kind]

    @property
    def bound(self) -> dict[str, Any]:
        """The bind parameters of both conditions."""
        if self.kind is SubjectKind.POST:
            return {"workspace_id": self.workspace_id, "publications": list(self.publications)}
        if self.kind is SubjectKind.ACCOUNT:
            return {"workspace_id": self.workspace_id, "account_id": self.account_id}
        return {"workspace_id": self.workspace_id}

    def to_json(self) -> dict[str, Any]:
        """Return it as the request stores it; `from_json` reads it back."""
        return {
            "workspace_id": self.workspace_id,
            "account_id": self.account_id,
            "publications": list(self.publications),
        }

    @classmethod
    def from_json(cls, kind: str, stored: dict[str, Any]) -> Self:
        """Return the subject that a request stores."""
        publications = tuple(int(one) for one in stored["publications"])
        return cls(SubjectKind(kind), stored["workspace_id"], stored["account_id"], publications)


_WHERE: Final = {
    SubjectKind.ACCOUNT: "p.account_id = :account_id AND p.workspace_id = :workspace_id",
    SubjectKind.WORKSPACE: "p.workspace_id = :workspace_id",
    SubjectKind.POST: "p.id = ANY(:publications) AND p.workspace_id = :workspace_id",
}
_ACCOUNT_WHERE: Final = {
    SubjectKind.ACCOUNT: "a.account_id = :account_id AND a.workspace_id = :workspace_id",
    SubjectKind.WORKSPACE: "a.workspace_id = :workspace_id",
    SubjectKind.POST: "FALSE",
}
_KNOWN: Final = text("""
SELECT EXISTS (SELECT FROM accounts WHERE workspace_id = :id)
    OR EXISTS (SELECT FROM api_keys WHERE workspace_id = :id)
""")


def account(connection: Connection, account_id: str) -> Subject | None:
    """Return an account as a subject; ``None``: no account has this id."""
    workspace_id = connection.execute(
        text("SELECT workspace_id FROM accounts WHERE account_id = :id"), {"id": account_id}
    ).scalar()
    return None if workspace_id is None else Subject(SubjectKind.ACCOUNT, workspace_id, account_id)


def workspace(connection: Connection, workspace_id: str) -> Subject | None:
    """Return a workspace as a subject; ``None``: it has neither an account nor an API key."""
    known = connection.execute(_KNOWN, {"id": workspace_id}).scalar_one()
    return Subject(SubjectKind.WORKSPACE, workspace_id) if known else None


def posts(connection: Connection, name: str) -> list[Subject]:
    """Return the publications with this id, of any kind that `find` knows: a subject for each workspace."""
    rows = connection.execute(
        text("""
        SELECT workspace_id, array_agg(id ORDER BY id) AS ids FROM publications WHERE id = ANY(:ids)
         GROUP BY workspace_id ORDER BY workspace_id
        """),
        {"ids": find(connection, name)},
    )
    return [Subject(SubjectKind.POST, row.workspace_id, None, tuple(row.ids)) for row in rows]
