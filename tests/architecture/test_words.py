"""One standard term for each thing: words that were replaced do not return.

Identifiers (definitions, arguments, assigned names, attributes), strings that are identifiers (log events,
labels) and file names are split at underscores and capitals, and each part is looked up. Prose (comments,
strings, documents) is searched only for words that have no other meaning in this project.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

PARTS: Final[Mapping[str, str]] = {
    "askable": "refreshable",
    "anteroom": "queue",
    "asker": "API poller",
    "bell": "notification",
    "census": "row counter",
    "crowd": "clients",
    "culprit": "rejected metric",
    "culprits": "rejected metrics",
    "deaf": "not listening",
    "door": "authentication",
    "doorbell": "notification channel, notify, listen",
    "doubts": "ambiguous errors",
    "elder": "older",
    "evidence": "observations",
    "guilty": "rejected",
    "hears": "receives",
    "heard": "received, observed, on_limits",
    "hostile": "malicious",
    "house": "harness",
    "intake": "ingestion",
    "intakes": "ingestion",
    "journal": "event log",
    "keeper": "summary writer",
    "lighten": "drop_metrics",
    "lightened": "without metrics",
    "marathon": "long run",
    "nap": "sleep",
    "office": "ops context",
    "paper": "traceparent, trace context",
    "papers": "trace contexts",
    "park": "pause",
    "parked": "paused",
    "parks": "pauses",
    "patience": "timeout",
    "people": "operators, interactive lane",
    "prolong": "extend",
    "prolonged": "extended",
    "prolongs": "extends",
    "rerun": "bulk re-sync",
    "reruns": "bulk re-syncs",
    "rig": "harness, environment",
    "ring": "notify",
    "rings": "notifies",
    "roof": "top layer",
    "room": "capacity",
    "roomy": "with capacity",
    "scene": "environment, world",
    "shortage": "budget exhausted",
    "sleepers": "waiters",
    "spoil": "corrupt",
    "spoiling": "corrupted responses",
    "spoils": "corrupts",
    "spoilt": "corrupted",
    "stage": "environment",
    "tell": "report, log, update, name",
    "teller": "event producer",
    "telling": "report",
    "tells": "reports, names",
    "theatre": "test environment",
    "told": "payload, reported",
    "turn": "fair share",
    "turns": "fair share",
    "unaskable": "unsupported",
    "unasked": "anonymous access",
    "untold": "unreported",
    "vouched": "account verified",
    "workshop": "work directory",
}
"""A part of an identifier, of a file name or of a test name, and the standard term."""

NAMES: Final[Mapping[str, str]] = {
    "Book": "importer",
    "ACTS": "operations, actions",
    "Act": "operation, action, audit entry",
    "Fact": "Sample, gauge",
    "Found": "what it is: row, match, result",
    "Held": "Reservation",
    "Keep": "summary writer",
    "Read": "RefreshRun",
    "Shell": "RequestMiddleware",
    "Taken": "ImportResult",
    "Told": "Sample",
    "Tools": "WorkerContext",
    "Tries": "LoginThrottle",
    "act": "operation, action",
    "acts": "operations, actions",
    "asked": "requested",
    "enter": "import_rows, log_in",
    "found": "what it is: row, match, result",
    "go_on": "resume",
    "held": "locked, reserved, deferred",
    "kept": "stored, unchanged",
    "leads_anywhere": "enabled",
    "look": "probe",
    "looked": "probed",
    "looks": "probes",
    "paid_off": "debt cleared",
    "take_apart": "split",
    "taken": "claimed, in_flight",
    "tools": "context",
}
"""A whole identifier, without leading underscores, and the standard term."""

PROSE: Final[Mapping[str, str]] = {
    r"census": "row counter",
    r"comes? late": "waits, retries",
    r"crowd": "clients",
    r"culprits?": "rejected metric",
    r"doorbells?": "notification channel, signal",
    r"doors?": "interface, authentication",
    r"(?:ground|on the|the) floor": "lowest layer",
    r"hears?": "receives",
    r"heard": "received",
    r"house": "harness",
    r"keepers?": "summary writer",
    r"lottery": "random maintenance",
    r"marathon": "long run",
    r"moods?": "behaviour",
    r"paid off": "cleared",
    r"papers?": "trace context",
    r"rings?": "notifies",
    r"roof": "top layer",
    r"spoils?": "corrupts",
    r"spoilt": "corrupted",
    r"takes? turns": "are served in fair shares, exclude each other",
    r"tells?": "reports, names, says",
    r"theatre": "test environment",
    r"the (?:whole )?story of": "the steps of",
    r"told": "reported",
    r"vouch\w*": "verify",
    r"who may enter": "authentication",
    r"whose turn": "fair share",
}
"""A word or phrase of comments, strings and documents, and the standard term."""

CONTRACT: Final = frozenset(
    {
        "meta_park_percent",  # a setting, and its name inside the worker
        "park_percent",
        "dravo_parked_until_timestamp_seconds",  # a metric, with and without its prefix
        "parked_until_timestamp_seconds",
        "dravoparked",  # an alert
    }
)
"""Names that clients, operators' scripts and dashboards rely on."""

HISTORY: Final = (
    "shared/migrations/",
    "shared/tables.py",
    "tests/shared/test_migrations.py",
    "deploy/schemas/documents.py",
)
"""The schema keeps names of tables, columns and indexes that services of earlier versions use, and the
documents that commands print keep the names of their fields."""

DOCUMENTS: Final = {".md", ".html", ".js", ".css", ".yaml", ".json", ".toml", ".service", ".sql", ".lua"}
IDENTIFIER: Final = re.compile(r"[A-Za-z]\w*_\w+")
WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
PHRASES: Final = {re.compile(rf"\b{phrase}\b", re.IGNORECASE): term for phrase, term in PROSE.items()}
ANY_PHRASE: Final = re.compile(rf"\b(?:{'|'.join(PROSE)})\b", re.IGNORECASE)


class Finding(NamedTuple):
    """A replaced word, where it stands, and what to write in its place."""

    path: str
    line: int
    word: str
    term: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word} -> {self.term}"


def tracked() -> list[str]:
    """Return the paths of all files that are checked: neither this one nor the schema's."""
    names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return [
        name
        for name in names
        if ROOT / name != Path(__file__) and (ROOT / name).is_file() and not name.startswith(HISTORY)
    ]


@cache
def terms(identifier: str) -> tuple[str, ...]:
    """Return the standard terms of an identifier's replaced words."""
    bare = identifier.strip("_")
    if bare.lower() in CONTRACT or identifier.startswith("__"):
        return ()
    whole = (NAMES[bare],) if bare in NAMES else ()
    return whole + tuple(PARTS[part.lower()] for part in WORD.findall(bare) if part.lower() in PARTS)


def identifiers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield what a module names, with the line: definitions, arguments, variables, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.Constant(value=str(text)) if IDENTIFIER.fullmatch(text):
                yield text, node.lineno


def in_identifiers(path: str, source: str) -> Iterator[Finding]:
    """Yield the replaced words among a module's identifiers."""
    if not any(map(terms, set(re.findall(r"[^\W\d]\w*", source)))):
        return  # to parse every module takes seconds
    for name, line in identifiers(ast.parse(source)):
        yield from (Finding(path, line, name, term) for term in terms(name))


def in_prose(path: str, source: str) -> Iterator[Finding]:
    """Yield the replaced words in a module's comments and strings, or in a document's lines."""
    if not ANY_PHRASE.search(source):
        return  # to read every module token by token takes seconds
    if path.endswith(".py"):
        texts = [
            (token.start[0] + offset, line)
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type not in {tokenize.NAME, tokenize.OP, tokenize.NUMBER}
            for offset, line in enumerate(token.string.splitlines())
        ]
    else:
        texts = list(enumerate(source.splitlines(), start=1))
    for number, text in texts:
        for phrase, term in PHRASES.items():
            yield from (Finding(path, number, word, term) for word in phrase.findall(text))


def findings() -> Iterator[Finding]:
    """Yield every replaced word in the project."""
    for path in tracked():
        for part in Path(path).parts:
            yield from (Finding(path, 0, part, term) for term in terms(Path(part).stem))
        if not (path.endswith(".py") or Path(path).suffix in DOCUMENTS or Path(path).name == "Makefile"):
            continue
        source = (ROOT / path).read_text()
        if path.endswith(".py"):
            yield from in_identifiers(path, source)
        yield from in_prose(path, source)


def test_no_replaced_word_returns() -> None:
    assert "\n".join(map(str, findings())) == ""


@pytest.mark.parametrize(
    "source",
    [
        "def ring_doorbell(): ...",
        "class Keeper: ...",
        "def f(told): ...",
        "paper = 1",
        "self.office = 1",
        "log('fleet_told')",
        "def test_a_door_opens(): ...",
        "found = 1",
        "def f(tools): ...",
    ],
)
def test_replaced_word_in_an_identifier_is_a_finding(source: str) -> None:
    assert list(in_identifiers("x.py", source))


@pytest.mark.parametrize(
    "source", ['"""It tells who waits."""', "x = 1  # rings the scheduler", 'f"{a} told"']
)
def test_replaced_word_in_prose_is_a_finding(source: str) -> None:
    assert list(in_prose("x.py", source))


@pytest.mark.parametrize(
    "source", ["meta_park_percent = 1", "restored = 1", "found_any = 1", "parts = journalctl", "import story"]
)
def test_other_words_are_no_finding(source: str) -> None:
    assert not [*in_identifiers("x.py", source), *in_prose("x.py", source)]
