"""``python -m api_stub``: the read API as a process. ``dravo api`` starts it by this command."""

import sys

import structlog

from api_stub.app import create
from api_stub.http.database import ROLE
from api_stub.http.server import bind, serve
from api_stub.service import Service
from shared import database
from shared.observability import log, tracing
from shared.process import collect_rarely, die_with_parent, stop_on_signals
from shared.settings import Settings, SettingsError, load


def main() -> int:
    """Serve until stopped. Return 1, with one sentence on stderr, when the service cannot start."""
    die_with_parent()
    stopping = stop_on_signals()
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
    app = create(service)
    collect_rarely()
    serve(app, service, listening, stopping)
    return 0


def check_database(settings: Settings) -> None:
    """Raise `SettingsError` when the database does not answer; warn when it has no role for the API."""
    engine = database.connect(settings.database, application="dravo-api-start", pool_size=2, role=ROLE)
    try:
        database.check_reachable(engine)
        database.warn_without_role(engine, ROLE)
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
