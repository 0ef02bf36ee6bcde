"""Whom the embedded servers run as, and where that user can reach them.

An ordinary user runs them as itself. PostgreSQL refuses to run as root, and a server that listens on the
network should not: as root they run as an existing unprivileged system user. No user is created, and no
mode of a directory that was there before is changed; what that user cannot reach is put under STORE.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from deploy.local.errors import LocalServerError

STORE = Path("/var/lib/dravo")
"""Root's own, readable by all: copies of executables, and one directory for each relocated data directory."""

_POINTER = "kept-in"


@dataclass(frozen=True)
class SystemUser:
    """The user that a server runs as; both ids are None when that is ourselves."""

    uid: int | None = None
    gid: int | None = None

    @property
    def extra_groups(self) -> list[int] | None:
        """For subprocess: no group of root's goes along."""
        return None if self.uid is None else []


def server_user(data_dir: Path) -> SystemUser:
    """Return the user to run a server as: ourselves; as root the owner of `data_dir`, or else "nobody".

    So root continues what an ordinary user began in the same directory.
    """
    if os.geteuid() != 0:
        return SystemUser()
    owner = data_dir.stat()
    if owner.st_uid != 0:
        return SystemUser(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise LocalServerError(
            "The embedded servers do not run as root, and this machine has no user 'nobody': "
            "run as an ordinary user."
        ) from error
    return SystemUser(nobody.pw_uid, nobody.pw_gid)


def private_directory(path: Path, user: SystemUser) -> None:
    """Make a directory that only `user` (and root) can enter."""
    path.mkdir(mode=0o700)
    if user.uid is not None and user.gid is not None:
        os.chown(path, user.uid, user.gid)


def server_home(data_dir: Path, user: SystemUser) -> Path:
    """Return where a server's own directory lives: `data_dir`, or if `user` cannot enter that, under STORE.

    A relocated home has a random name, kept in a file in `data_dir`: removing `data_dir` then begins anew,
    and moving it keeps the data.
    """
    pointer = data_dir / _POINTER
    if pointer.exists():
        home = Path(pointer.read_text().strip())
        if home.parent != STORE or not home.is_dir():
            raise LocalServerError(
                f"The data of {data_dir} was kept in {home}, which is gone: remove {data_dir}."
            )
        return home
    if user.uid is None or _runs(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(data_dir)], user):
        return data_dir
    home = Path(tempfile.mkdtemp(prefix="data-", dir=_store()))
    home.chmod(0o711)
    pointer.write_text(f"{home}\n")
    return home


def wheel_directory(distribution: str, probe: str, user: SystemUser) -> Path:
    """Return the directory under which an installed wheel's files are, such that `user` can run `probe`.

    `probe` is the path of an executable in it. When an environment is out of that user's reach (say, below
    /root) the wheel is copied once for each version.
    """
    try:
        wheel = metadata.distribution(distribution)
    except metadata.PackageNotFoundError as error:
        raise LocalServerError(
            f"The package {distribution} is not installed: "
            "install dravo-analytics-sync[local], or set DRAVO_DATABASE_URL and DRAVO_REDIS_URL."
        ) from error
    installed = Path(str(wheel.locate_file("")))
    if _runs([str(installed / probe), "--version"], user):
        return installed
    if user.uid is None:
        raise LocalServerError(f"{installed / probe} does not run on this machine.")
    copy = _store() / f"{distribution}-{wheel.version}"
    if not copy.exists():
        _copy(installed, {file.parts[0] for file in wheel.files or []} - {".."}, copy)
    if not _runs([str(copy / probe), "--version"], user):
        raise LocalServerError(
            f"{copy / probe} does not run as an unprivileged user: run as an ordinary user."
        )
    return copy


def _copy(source: Path, names: set[str], target: Path) -> None:
    """Copy aside, then rename: a copy is complete or absent, and of two at once the first one stays."""
    aside = Path(tempfile.mkdtemp(prefix="copy-", dir=target.parent))
    try:
        for name in names:
            if (source / name).is_dir():
                shutil.copytree(source / name, aside / name, ignore=shutil.ignore_patterns("*.py", "include"))
        for path in (aside, *aside.rglob("*")):  # an installation under umask 077 is unreadable, file by file
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
        try:
            aside.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _store() -> Path:
    try:
        if not STORE.exists():
            STORE.mkdir(parents=True, exist_ok=True)
            STORE.chmod(0o755)
        found = STORE.stat()
    except OSError as error:
        raise LocalServerError(f"Cannot make {STORE}: {error.strerror}.") from error
    if found.st_uid != 0 or found.st_mode & 0o022:
        raise LocalServerError(f"{STORE} must belong to root and be writable by root alone.")
    return STORE


def _runs(command: list[str], user: SystemUser) -> bool:
    """Ask the kernel, not the modes: access lists, mount options and missing libraries count too."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, and paths of our own
            command,
            cwd="/",
            env={},
            user=user.uid,
            group=user.gid,
            extra_groups=user.extra_groups,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
