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
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.architecture.replaced_words import NAMES, PARTS, PROSE

ROOT = Path(__file__).parents[2]
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
    "tests/architecture/replaced_words.py",
    "tests/architecture/test_words.py",
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
    """Return the paths of all files that are checked: neither those of these words nor the schema's."""
    names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return [name for name in names if (ROOT / name).is_file() and not name.startswith(HISTORY)]


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
