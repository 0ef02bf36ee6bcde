"""``python -m api_stub``: the read API as a process. ``dravo api`` starts it by this command."""

import sys

import structlog

from api_stub.app import create
from api_stub.http.database import ROLE, SET_ROLE
from api_stub.http.server import bind, serve
from api_stub.service import Service
from shared import database
from shared.observability import log, tracing
from shared.process import die_with_parent
from shared.settings import Settings, SettingsError, load


def main() -> int:
    """Serve until stopped. Return 1, with one sentence on stderr, when the service cannot start."""
    die_with_parent()
    try:
        settings = load("database_url")
        log.configure("api", settings.log_format)
        tracing.configure("api")
        check_database(settings)
        service = Service(settings)
        listening = bind(settings.api_host, settings.api_port)
    except SettingsError as error:
        for line in str(error).splitlines():
            print(f"dravo api: {line}", file=sys.stderr)  # noqa: T201 - what a person at a terminal reads
        return 1
    host, port = listening.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    structlog.get_logger(__name__).info("api_listening", url=f"http://{address}:{port}", port=port)
    serve(create(service), service, listening)
    return 0


def check_database(settings: Settings) -> None:
    """Raise `SettingsError` when the database does not answer; warn when it gives us no role of our own."""
    engine = database.connect(settings.database, application="dravo-api-start", pool_size=2)
    try:
        database.check_reachable(engine)
        with engine.begin() as connection:
            taken = connection.exec_driver_sql(SET_ROLE, {"role": ROLE}).one_or_none()
    finally:
        engine.dispose()
    if taken is None:
        detail = (
            "the read API keeps every right of its database user: run `dravo migrate` as one with CREATEROLE"
        )
        structlog.get_logger(__name__).warning("api_role_missing", role=ROLE, detail=detail)


if __name__ == "__main__":
    sys.exit(main())
