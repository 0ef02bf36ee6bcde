"""Replay: after a backup was restored, everything is erased again that was erased since."""

from typing import Final

from sqlalchemy import Engine, text

from shared.erasure import requests
from shared.erasure.ledger import Ledger, missing, subject_of

SOURCE: Final = "replay"
_KNOWN: Final = text("""
INSERT INTO erasures (code, kind, source, phase, ended_at, scan)
VALUES (:code, :kind, 'replay', 'ended', now(), CAST('{"found": {}, "tables": 0}' AS jsonb))
ON CONFLICT DO NOTHING
""")


def replay(engine: Engine, ledger: Ledger) -> list[str]:
    """Request every erasure that this database does not know; return the codes of those that are to run.

    One whose subject the backup does not have is recorded as ended. Running it again continues.
    """
    codes = []
    with engine.begin() as connection:
        entries = missing(connection, ledger.entries())
    for entry in entries:
        with engine.begin() as connection:
            subject = subject_of(connection, entry)
            code = requests.request(connection, subject, SOURCE, code=entry.code) if subject else None
            if code != entry.code:  # nothing of it is here, or another erasure of it is under way
                connection.execute(_KNOWN, {"code": entry.code, "kind": entry.kind.value})
        if code is not None:
            codes.append(code)
    return codes
