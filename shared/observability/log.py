"""Structured logs: JSON for machines, readable text on a terminal, and no secret in either.

An event is a fixed word in snake case (``refreshed``, ``leases_expired``). Its details are in keys that mean
the same in every event: ``platform``, ``account_id``, ``publication_id``, ``request_id``, ``lane``,
``outcome``, ``detail`` (a sentence), ``rows``, ``seconds``. Every line has ``timestamp``, ``level``,
``logger`` and ``service``.

No line can contain a secret: every value is redacted as data, at any depth, before it is rendered. That
includes errors that end a thread or the process, and the lines of libraries.
"""

import logging
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.accounts.vault import REDACTED, redact

_MAX_DEPTH = 6
_SECRET_NAMES: Final = ("token", "secret", "password", "authorization", "api_key", "bearer", "cookie")
_HARMLESS_KEYS: Final = frozenset({"token_version", "token_expires_at", "token_minted_at", "tokens"})
"""Keys that contain a secret's name but no secret; ``tokens`` is a count."""

_log = structlog.get_logger(__name__)


def _redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {str(key): _clean(str(key), value) for key, value in event.items()}


def _clean(key: str, value: Any, depth: int = 0) -> Any:
    """Return the value in JSON's types without credentials, found by their key or by their shape."""
    if value is None or isinstance(value, bool):
        return value
    lowered = key.lower()
    named = lowered not in _HARMLESS_KEYS and any(name in lowered for name in _SECRET_NAMES)
    if named or depth > _MAX_DEPTH:
        return REDACTED
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {redact(str(one)): _clean(str(one), part, depth + 1) for one, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", part, depth + 1) for part in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    return redact(value if isinstance(value, str) else repr(value))


class _Handler(logging.StreamHandler[Any]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging calls it by this name
        """Report a lost line without its content: the library would print the arguments."""
        sys.stderr.write(f'{{"level": "error", "event": "log_line_lost", "logger": "{record.name}"}}\n')


def configure(service: str, log_format: str = "auto") -> None:
    """Send every log of this process, our own and the libraries', to stderr through one redacting chain.

    ``log_format``: ``json``, ``text``, or ``auto`` (text on a terminal, else JSON).
    """

    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)  # here, not in a context variable: threads do not inherit those
        return event

    terminal = sys.stderr.isatty()
    as_text = log_format == "text" or (log_format == "auto" and terminal)
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback)
        if as_text
        else structlog.processors.JSONRenderer()
    )
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                _redacted,
                renderer,
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for chatty in ("httpx", "httpcore", "apscheduler", "alembic", "dramatiq"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    sys.excepthook = _log_fatal_error
    threading.excepthook = _log_thread_error


def _log_fatal_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the error that ends the process: the interpreter would print it without redaction."""
    if issubclass(kind, KeyboardInterrupt):
        return
    _log.critical("process_ended_by_error", exc_info=(kind, error, trace))


def _log_thread_error(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is None or isinstance(ended.exc_value, SystemExit):
        return
    _log.error(
        "thread_ended_by_error",
        thread=ended.thread.name if ended.thread else None,
        exc_info=(ended.exc_type, ended.exc_value, ended.exc_traceback),
    )
