"""Triggers that write ``changes``, so that nothing that writes a served value can omit it.

A transaction of its own: it locks the publications before the analytics rows, as an import does, and never
while it holds the accounts, which other transactions lock first.
"""

from alembic import op

revision = "0141"
down_revision = "0140"

# Rows are locked in the order of their ids. A row that this transaction has already written stays as it is.
UPSERT = """
ON CONFLICT (publication_id) DO UPDATE
   SET changed_in = excluded.changed_in, changed_at = excluded.changed_at, gone = excluded.gone
 WHERE c.changed_in <> excluded.changed_in OR c.gone IS DISTINCT FROM excluded.gone
"""
INSERT = "INSERT INTO changes AS c (publication_id, workspace_id, changed_in, changed_at, gone)"
SERVED = ("post_id", "account_id", "platform", "platform_post_url", "text", "created_at", "published_at")


def _function(name: str, body: str) -> str:
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $function$\n"
        f"BEGIN\n{body};\nRETURN NULL;\nEND\n$function$"
    )


def _columns(alias: str) -> str:
    ids = f"COALESCE({alias}.platform_post_id, {alias}.publish_id)"
    return ", ".join((ids, *(f"{alias}.{name}" for name in SERVED)))


FUNCTIONS = (
    _function(
        "note_added_publications",
        f"{INSERT} SELECT n.id, n.workspace_id, pg_current_xact_id(), now(), NULL FROM added n"
        f" ORDER BY n.id {UPSERT}",
    ),
    _function(
        "note_changed_publications",
        f"{INSERT} SELECT n.id, n.workspace_id, pg_current_xact_id(), now(), NULL"
        f" FROM added n JOIN removed o ON o.id = n.id"
        f" WHERE ({_columns('n')}) IS DISTINCT FROM ({_columns('o')}) ORDER BY n.id {UPSERT}",
    ),
    _function(
        "note_removed_publications",
        f"{INSERT} SELECT o.id, o.workspace_id, pg_current_xact_id(), now(), jsonb_build_object("
        " 'post_id', o.post_id, 'account_id', o.account_id, 'platform', o.platform,"
        " 'platform_post_id', COALESCE(o.platform_post_id, o.publish_id))"
        f" FROM removed o ORDER BY o.id {UPSERT}",
    ),
    _function(
        "note_added_analytics",
        f"{INSERT} SELECT p.id, p.workspace_id, pg_current_xact_id(), now(), NULL"
        f" FROM added n JOIN publications p ON p.id = n.publication_id ORDER BY p.id {UPSERT}",
    ),
    _function(
        "note_changed_analytics",
        f"{INSERT} SELECT p.id, p.workspace_id, pg_current_xact_id(), now(), NULL"
        " FROM added n JOIN removed o ON o.publication_id = n.publication_id"
        " JOIN publications p ON p.id = n.publication_id"
        " WHERE n.metrics IS DISTINCT FROM o.metrics OR n.sync_status IS DISTINCT FROM o.sync_status"
        " OR n.warnings IS DISTINCT FROM o.warnings OR n.error_message IS DISTINCT FROM o.error_message"
        f" ORDER BY p.id {UPSERT}",
    ),
    _function("forget_changes", "TRUNCATE changes"),
)

ADDED = "REFERENCING NEW TABLE AS added"
REMOVED = "REFERENCING OLD TABLE AS removed"
TRIGGERS = (
    ("publications", "INSERT", ADDED, "note_added_publications"),
    ("publications", "UPDATE", f"{ADDED} OLD TABLE AS removed", "note_changed_publications"),
    ("publications", "DELETE", REMOVED, "note_removed_publications"),
    ("publications", "TRUNCATE", "", "forget_changes"),
    ("post_analytics", "INSERT", ADDED, "note_added_analytics"),
    ("post_analytics", "UPDATE", f"{ADDED} OLD TABLE AS removed", "note_changed_analytics"),
)

BACKFILL = """
INSERT INTO changes_backfill (after_id, last_id) SELECT 0, COALESCE(max(id), 0) FROM publications
"""


def upgrade() -> None:
    """Create the triggers; rows that exist are filled in by the scheduler, slice by slice."""
    op.execute("LOCK TABLE publications IN SHARE ROW EXCLUSIVE MODE")
    op.execute("LOCK TABLE post_analytics IN SHARE ROW EXCLUSIVE MODE")
    for function in FUNCTIONS:
        op.execute(function)
    for table, event, transition, function in TRIGGERS:
        op.execute(
            f"CREATE TRIGGER {function} AFTER {event} ON {table} {transition}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
    op.execute(BACKFILL)
