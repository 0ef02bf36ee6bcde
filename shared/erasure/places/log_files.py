"""Log files under our control: lines that name a subject are made blank.

Services write ids of accounts and posts, never names or tokens; the log of a database server may hold values
of a row. A line is overwritten in place, because a running process appends to the file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from shared.erasure.identifiers import Identifiers
from shared.settings import Settings

LOG_LINES: Final = "log lines"
"""The name under which a certificate counts them."""
_BLANK: Final = b" "


class LogFilesError(Exception):
    """A log file cannot be read or written; the message is one sentence."""


def log_files_of(settings: Settings) -> "LogFiles | None":
    """Return the files that ``DRAVO_ERASURE_LOGS`` names, if any."""
    places = [Path(place.strip()) for place in settings.erasure_logs.split(",") if place.strip()]
    return LogFiles(places) if places else None


class LogFiles:
    """Plain text files, and the files in folders. Raises `LogFilesError`."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = places

    def files(self) -> list[Path]:
        """Return the files that exist now."""
        try:
            paths = [
                one for place in self._places for one in (place.iterdir() if place.is_dir() else [place])
            ]
            return sorted(one for one in paths if one.is_file())
        except OSError as error:
            raise LogFilesError(f"the log files cannot be listed: {error.strerror}") from error

    def count(self, identifiers: Identifiers) -> int:
        """Count the lines that name the subject."""
        return sum(1 for file in self.files() for _ in _lines(file, identifiers))

    def remove(self, identifiers: Identifiers) -> int:
        """Make the lines blank that name the subject; return how many."""
        number = 0
        for file in self.files():
            places = list(_lines(file, identifiers))
            if not places:
                continue
            try:
                with file.open("r+b") as opened:
                    for start, length in places:
                        opened.seek(start)
                        opened.write(_BLANK * length)
            except OSError as error:
                raise LogFilesError(f"{file} cannot be written: {error.strerror}") from error
            number += len(places)
        return number


def _lines(file: Path, identifiers: Identifiers) -> Iterator[tuple[int, int]]:
    """Yield the place and the length of each line that names the subject, without its end."""
    start = 0
    try:
        with file.open("rb") as opened:
            for line in opened:
                content = line.rstrip(b"\r\n")
                if identifiers.found_in(content.decode("utf-8", "replace")):
                    yield start, len(content)
                start += len(line)
    except OSError as error:
        raise LogFilesError(f"{file} cannot be read: {error.strerror}") from error
