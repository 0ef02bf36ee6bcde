"""Single keys from the terminal, without Enter, while a screen is shown."""

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Final, Self

_NAMES: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\r": "enter",
    b"\n": "enter",
    b"\x1b": "escape",
}


class Keyboard:
    """Reads keys from stdin, and waits without any where stdin is no terminal. Ctrl-C works as usual."""

    def __init__(self) -> None:
        self._terminal = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if self._terminal is not None:
            self._before = termios.tcgetattr(self._terminal)
            tty.setcbreak(self._terminal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal is not None and self._before is not None:
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str | None:
        """Return the key that is pressed within this time: its name or its character, or ``None``."""
        readable, _, _ = select.select([] if self._terminal is None else [self._terminal], [], [], seconds)
        if not readable or self._terminal is None:
            return None
        pressed = os.read(self._terminal, 16)
        return _NAMES.get(pressed) or pressed.decode("utf-8", "replace")[:1] or None
