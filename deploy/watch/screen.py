"""The views of `dravo status --watch` and the keys that lead from one to another."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text
from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import OperationalError

from deploy import console
from deploy.watch.keyboard import Keyboard
from deploy.watch.trends import fleet_line, trend_table, trends
from shared.operations.selection import TROUBLED
from shared.outcome_kinds import OutcomeGroup, OutcomeKind

MOST_FAILURES: Final = 15
_SCANNED: Final = 20_000
_BAD: Final = [kind.value for kind in OutcomeKind if kind.group is OutcomeGroup.BAD]
_REASONS: Final = ", ".join(f"'{reason.value}'" for reason in sorted(TROUBLED))
# Two partial indexes find the rows among ten million; a bad outcome of a row that is served as synced always
# leaves one of these reasons. Constants, because the planner uses such an index only for what it can read.
FAILURES: Final = text(f"""
WITH candidates AS MATERIALIZED (
    (SELECT publication_id AS id FROM post_analytics
      WHERE sync_status IN ('failed', 'requires_reconnect') ORDER BY publication_id DESC LIMIT :scanned)
    UNION
    (SELECT publication_id FROM refresh_state
      WHERE reason IN ({_REASONS}) ORDER BY publication_id DESC LIMIT :scanned)
)
SELECT p.id, p.post_id, p.platform, pa.sync_status, pa.attempted_at,
       COALESCE(pa.error_message, pa.outcome_detail, pa.outcome) AS cause
  FROM candidates c
  JOIN post_analytics pa ON pa.publication_id = c.id
  JOIN publications p ON p.id = c.id
 WHERE pa.sync_status IN ('failed', 'requires_reconnect') OR pa.outcome = ANY(:bad)
 ORDER BY pa.attempted_at DESC NULLS LAST, p.id LIMIT :most
""")  # noqa: S608 - only constants of this module
BOUND: Final = {"bad": _BAD, "scanned": _SCANNED, "most": MOST_FAILURES}
_KEYS: Final = "o overview · p platforms · f failures · ↑ ↓ choose · enter why · q quit"
_CAUSE_WIDTH: Final = 30
UNKNOWN: Final = "PostgreSQL refuses connections or does not answer: the fleet's state is unknown"


@dataclass(slots=True)
class Watch:
    """The view that is shown, and what is chosen in it."""

    engine: Engine
    overview: Callable[[], RenderableType]
    """Renders the fleet's status."""
    explain: Callable[[Connection, int], RenderableType]
    """Renders the explanation of one publication."""
    view: str = "o"
    chosen: int = 0
    failures: list[Row[Any]] = field(default_factory=list)

    def press(self, key: str | None) -> bool:
        """Follow a key; return whether the watch goes on."""
        if key in {"o", "p", "f"}:
            self.view, self.chosen = str(key), 0
        elif key == "escape":
            self.view = "f" if self.view == "why" else "o"
        elif key in {"up", "k"}:
            self.chosen = max(0, self.chosen - 1)
        elif key in {"down", "j"}:
            self.chosen = max(0, min(len(self.failures) - 1, self.chosen + 1))
        elif key == "enter" and self.view == "f" and self.failures:
            self.view = "why"
        return key != "q"

    def render(self) -> Group:
        """Return the current view; while the database does not answer, it says so and the watch goes on."""
        try:
            parts = self._parts()
        except OperationalError:
            parts = [Text(UNKNOWN)]
        return Group(Text(_KEYS, style="dim"), *parts)

    def _parts(self) -> list[RenderableType]:
        if self.view == "o":
            overview = self.overview()
            with self.engine.connect() as connection:
                return [overview, fleet_line(trends(connection))]
        with self.engine.connect() as connection:
            if self.view == "p":
                return [Text("Platforms", style="bold"), trend_table(trends(connection))]
            if self.view == "f":
                return self._failures(connection)
            return [self.explain(connection, self.failures[self.chosen].id)]

    def _failures(self, connection: Connection) -> list[RenderableType]:
        self.failures = list(connection.execute(FAILURES, BOUND))
        if not self.failures:
            return [Text("No publication fails.", style="green")]
        self.chosen = min(self.chosen, len(self.failures) - 1)
        rows = [
            (
                "▶" if place == self.chosen else " ",
                row.post_id,
                row.platform,
                row.sync_status,
                console.instant(row.attempted_at),
                textwrap.shorten(row.cause or "", _CAUSE_WIDTH, placeholder=" …"),
            )
            for place, row in enumerate(self.failures)
        ]
        headings = (" ", "post", "platform", "status", "attempted", "cause")
        return [
            Text("Failures, the latest first", style="bold"),
            console.table(headings, rows, optional=("platform", "attempted")),
            Text(console.plain(self.failures[self.chosen].cause or "")),
        ]


def run(watch: Watch, out: Console, interval: float) -> None:
    """Show the views until `q` or Ctrl-C, anew after each key and each ``interval`` seconds."""
    with Keyboard() as keyboard, Live(console=out, screen=True, auto_refresh=False) as live:
        going = True
        while going:
            live.update(watch.render(), refresh=True)
            going = watch.press(keyboard.wait(interval))
