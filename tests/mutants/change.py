"""One change of one source file, with a key that stays the same when other lines of the file change."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes from ``start`` to ``end`` of a source become ``new``."""

    start: int
    end: int
    new: str
    kind: str
    """The kind of change, in two or three words."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """An edit of a file of this tree."""

    path: str
    line: int
    before: str
    """The line before the change, stripped; with ``after`` and ``path`` it identifies the mutant."""
    after: str
    kind: str
    edit: Edit
    repetition: int = 0
    """How many lines above it are the same before and after: a guard may stand in several statements."""

    @property
    def key(self) -> str:
        """A short key, which depends only on the path, the line before and after, and its repetition."""
        repeated = f"\n{self.repetition}" if self.repetition else ""
        return sha256(f"{self.path}\n{self.before}\n{self.after}{repeated}".encode()).hexdigest()[:12]

    def apply(self, tree: Path) -> None:
        """Change the file in a copy of the tree."""
        file = tree / self.path
        source = file.read_bytes()
        file.write_bytes(source[: self.edit.start] + self.edit.new.encode() + source[self.edit.end :])


def mutant(path: str, source: bytes, edit: Edit) -> Mutant:
    """Describe an edit by the line on which it begins."""
    first = source.rfind(b"\n", 0, edit.start) + 1
    last = source.find(b"\n", edit.end)
    after = source[first : edit.start] + edit.new.encode() + source[edit.end : last]
    line = source.count(b"\n", 0, edit.start) + 1
    before = source[first:last]
    return Mutant(path, line, _one_line(before), _one_line(after), edit.kind, edit)


def numbered(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """Yield mutants with their repetitions, and only one of those that change a line to the same text."""
    lines: dict[tuple[str, str], dict[int, Mutant]] = {}
    for one in mutants:
        lines.setdefault((one.before, one.after), {})[one.line] = one
    for same in lines.values():
        for repetition, line in enumerate(sorted(same)):
            yield replace(same[line], repetition=repetition)


def _one_line(text: bytes) -> str:
    return " ".join(text.decode().split())
