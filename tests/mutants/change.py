"""One change of one source file, with a key that stays the same when other lines of the file change."""

from dataclasses import dataclass
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

    @property
    def key(self) -> str:
        """A short key, which depends only on the path and on the line before and after."""
        return sha256(f"{self.path}\n{self.before}\n{self.after}".encode()).hexdigest()[:12]

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


def _one_line(text: bytes) -> str:
    return " ".join(text.decode().split())
