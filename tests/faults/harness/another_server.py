"""Another PostgreSQL server: a standby, or in the place of one: a promoted standby, or a restored dump."""

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy.engine import make_url

from deploy.local.servers.postgres import Postgres
from deploy.local.servers.unprivileged import server_home, server_user
from tests.faults.harness.waiting import wait_until
from tests.servers import connect

_TIMEOUT = 30.0


def copy_to_standby(primary: Postgres, target: Path) -> None:
    """Make the directory of a streaming replica of a running server."""
    target.mkdir(mode=0o711)
    shutil.copy2(primary._data_dir / "password", target / "password")
    user = server_user(target)
    if user.uid is not None and user.gid is not None:
        os.chown(target, user.uid, user.gid)
    backup = ["-D", str(target / "cluster"), "-R", "-c", "fast", "-d", _plain(primary)]
    _tool(primary, "pg_basebackup", *backup)


def promote_standby(primary: Postgres) -> None:
    """Replace a server by a standby that has everything and is promoted, at the same address."""
    target = primary._data_dir.with_name("standby")
    shutil.rmtree(target, ignore_errors=True)
    copy_to_standby(primary, target)
    standby = Postgres(target, primary._settings)
    with standby:
        with connect(primary.url) as connection:
            streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            wait_until(
                lambda: connection.execute(streaming.encode()).fetchall() == [(1,)], _TIMEOUT, "a standby"
            )
        primary.stop()  # it ends when the standby has everything
        with connect(standby.url) as connection:
            connection.execute("SELECT pg_promote()")
            connection.execute("CHECKPOINT")
    _take_place(standby, primary)
    primary.start()


def restore_dump(server: Postgres) -> None:
    """Replace a server by a new one that holds its dump, at the same address. Nothing writes meanwhile."""
    target = server._data_dir.with_name("restored")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o711)
    shutil.copy2(server._data_dir / "password", target / "password")
    dump = target / "dump"
    _tool(server, "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={_plain(server)}", own=False)
    new = Postgres(target, server._settings)
    with connect(server.url) as old:
        roles = old.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'dravo\\_%'").fetchall()
    with new:
        with connect(new.url) as connection:
            for (role,) in roles:
                connection.execute(f"CREATE ROLE {role} NOLOGIN".encode())
        _tool(new, "pg_restore", "--exit-on-error", f"--dbname={_plain(new)}", str(dump), own=False)
    server.stop()
    _take_place(new, server)
    server.start()


def _take_place(new: Postgres, former: Postgres) -> None:
    """Put a stopped server's cluster in the place of another one's."""
    place = _home(former) / "cluster"
    shutil.rmtree(place)
    (_home(new) / "cluster").rename(place)


def _home(server: Postgres) -> Path:
    return server_home(server._data_dir, server_user(server._data_dir))


def _plain(server: Postgres) -> str:
    return make_url(server.url).set(drivername="postgresql").render_as_string(hide_password=False)


def _tool(server: Postgres, name: str, *arguments: str, own: bool = True) -> None:
    """Run a tool of PostgreSQL; ``own``: as the server's user, because it writes the server's files."""
    user = server_user(server._data_dir)
    program = server._program(user).with_name(name)
    if own:
        subprocess.run(
            [program, *arguments],
            user=user.uid,
            group=user.gid,
            extra_groups=user.extra_groups,
            cwd="/",
            check=True,
        )
    else:
        subprocess.run([program, *arguments], check=True)
