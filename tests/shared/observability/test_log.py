"""What leaves a process as a log line: readable by machines, the same keys everywhere, never a secret."""

import ast
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from shared.accounts.vault import new_key
from shared.observability import log

ROOT = Path(__file__).parents[3]
TOKEN = "EAAGm0PX4ZCpsBAKZCjUXz9ZAXo3qJ7ZBgTq1ZCw2Vh6k5ZAyd"  # shaped like Meta's
SHAPELESS = "abc123"  # nothing about it looks like a secret; its key does


class Lines:
    """What was written to stderr, as lines."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def text(self) -> str:
        """Return all of it."""
        self._text += self._capsys.readouterr().err
        return self._text

    @property
    def last(self) -> dict[str, Any]:
        """Return the last line as JSON."""
        line = json.loads(self.text.strip().splitlines()[-1])
        assert isinstance(line, dict)
        return line


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    structlog.reset_defaults()
    try:
        yield Lines(capsys)
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


def fail(sentence: str, cause: str = "no cause") -> None:
    raise RuntimeError(sentence) from ValueError(cause)


class Bearing:
    """An object whose repr contains a secret."""

    def __repr__(self) -> str:
        return f"<Bearing access_token={TOKEN}>"


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize(
    "extra",
    [
        {"detail": f"refused with {TOKEN}"},
        {"access_token": SHAPELESS},
        {"Authorization": f"Bearer {SHAPELESS}"},
        {"pin_token": 123123123},
        {"headers": {"authorization": f"Bearer {SHAPELESS}", "x": [{"client_secret": SHAPELESS}]}},
        {"several": [TOKEN, (TOKEN, {TOKEN})]},
        {"mapping": {TOKEN: 1}},
        {"thing": Bearing()},
        {"raw": TOKEN.encode()},
        {"secret": SecretStr(SHAPELESS)},
        {"error": ValueError(f"https://graph.example/me?access_token={TOKEN}")},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_no_key_of_an_event_contains_a_secret(lines: Lines, log_format: str, extra: dict[str, Any]) -> None:
    log.configure("tests", log_format)
    structlog.get_logger("tests").warning("something_happened", **extra)
    assert "something_happened" in lines.text
    for secret in (TOKEN, SHAPELESS, "123123123"):
        assert secret not in lines.text


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_messages_and_exceptions_contain_no_secret(lines: Lines, log_format: str) -> None:
    key = new_key()
    log.configure("tests", log_format)
    try:
        fail(f"GET /me?access_token={TOKEN}", f"cannot open with {key}")
    except RuntimeError:
        structlog.get_logger("tests").exception(f"failed with {TOKEN}")
        logging.getLogger("some.library").exception("failed with %s", TOKEN)
    assert lines.text.count("RuntimeError: GET /me") == 2
    assert TOKEN not in lines.text
    assert key not in lines.text


def test_errors_that_end_a_thread_or_the_process_are_redacted(lines: Lines) -> None:
    log.configure("tests", "json")

    url = f"https://user:{TOKEN}@host/"
    thread = threading.Thread(target=fail, args=(url,), name="failing")
    thread.start()
    thread.join()
    assert lines.last["event"] == "thread_ended_by_error"
    assert lines.last["thread"] == "failing"
    try:
        fail(url)
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    assert lines.last["event"] == "process_ended_by_error"
    assert "RuntimeError" in lines.last["exception"]
    assert TOKEN not in lines.text


def test_line_that_cannot_be_written_is_reported_without_its_content(lines: Lines) -> None:
    log.configure("tests", "json")
    logging.getLogger("some.library").warning("%d of them", TOKEN)
    assert "log_line_lost" in lines.text
    assert TOKEN not in lines.text


def test_every_line_has_the_same_keys_in_every_thread(lines: Lines) -> None:
    log.configure("worker", "json")
    logger = structlog.get_logger("worker.refresh")
    thread = threading.Thread(target=lambda: logger.info("refreshed", account_id="acc_1", rows=3))
    thread.start()
    thread.join()
    assert lines.last.keys() == {"timestamp", "level", "logger", "service", "event", "account_id", "rows"}
    assert lines.last["service"] == "worker"
    assert lines.last["logger"] == "worker.refresh"
    assert lines.last["rows"] == 3
    logging.getLogger("some.library").warning("a sentence of theirs")
    assert lines.last.keys() == {"timestamp", "level", "logger", "service", "event"}


def test_text_is_coloured_only_on_terminals(lines: Lines) -> None:
    log.configure("tests", "text")
    structlog.get_logger("tests").warning("something_happened", rows=3)
    assert "rows=3" in lines.text
    assert "\x1b" not in lines.text


def test_harmless_keys_that_name_a_secret_are_shown(lines: Lines) -> None:
    log.configure("tests", "json")
    structlog.get_logger("tests").info("renewed", token_version=7, detail="the token is renewed", ok=True)
    assert (lines.last["token_version"], lines.last["ok"]) == (7, True)
    assert lines.last["detail"] == "the token is renewed"


def _events() -> Iterator[tuple[str, ast.Call]]:
    levels = {"debug", "info", "warning", "error", "critical", "exception", "log"}
    for package in ("shared", "worker", "scheduler", "api_stub"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in levels
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "_log"
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_event_is_in_snake_case_and_every_key_is_known() -> None:
    synonyms = {"account", "publication", "acc", "id", "msg", "message", "err", "exc", "why", "text"}
    events = list(_events())
    assert len(events) > 20
    for where, call in events:
        word = call.args[-1]
        assert isinstance(word, ast.Constant), where
        assert re.fullmatch(r"[a-z][a-z_]+", str(word.value)), where
        assert not {keyword.arg for keyword in call.keywords} & synonyms, where
