"""An advisory lock that lets one process use a directory; the kernel releases it when the process ends."""

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.errors import LocalServerError


class DirectoryInUseError(LocalServerError):
    """Another process has the directory."""


class DirectoryLock:
    """A flock(2) lock on `directory/lock`; directory and file are created if missing.

    The file is never removed: otherwise two processes could lock two different files of that name.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Acquire the lock without waiting.

        Raises `DirectoryInUseError` when another process has it, and `LocalServerError` when the directory
        cannot be written.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._directory / "lock", flags, 0o600)
        except OSError as error:
            raise LocalServerError(_cannot_write(self._directory, error)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise DirectoryInUseError(
                f"{self._directory} is already in use by another dravo"
                f"{f' (process {holder})' if holder else ''}: stop that one, or choose another --data-dir."
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise LocalServerError(_cannot_write(self._directory, error)) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock; without one, this does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _cannot_write(directory: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission to write in {directory}: choose another --data-dir, or run as its owner."
    return f"Cannot write in {directory}: {error.strerror}."
