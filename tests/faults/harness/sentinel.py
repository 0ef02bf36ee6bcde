"""A Valkey primary with a replica, and a Sentinel that promotes the replica when the primary fails."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local.private_files import read_or_create_password
from deploy.local.servers.server_process import free_port, spawn
from deploy.local.servers.unprivileged import private_directory, server_user
from deploy.local.servers.valkey import Valkey
from tests.faults.harness.waiting import wait_until

SERVICE = "mymaster"
_TIMEOUT = 20.0


@dataclass
class SentinelServers:
    """A primary, its replica, and the URL that names their Sentinel."""

    primary: Valkey
    replica: Valkey
    url: str
    client: Any
    """A client of the Sentinel."""

    def primary_port(self) -> int:
        """Return the port of the server that Sentinel calls the primary."""
        return int(self.client.execute_command("SENTINEL", "get-master-addr-by-name", SERVICE)[1])

    def await_failover(self) -> None:
        """Wait until the replica is the primary."""
        wait_until(lambda: self.primary_port() == self.replica.port, _TIMEOUT, "the fail-over")
        with redis.Redis.from_url(self.replica.url) as client:
            wait_until(lambda: client.info("replication")["role"] == "master", _TIMEOUT, "a new primary")


@contextmanager
def sentinel_servers(directory: Path) -> Iterator[SentinelServers]:
    """Run both servers and the Sentinel with one password."""
    for name in ("primary", "replica"):
        (directory / name).mkdir()
    password = read_or_create_password(directory / "primary" / "password")
    (directory / "replica" / "password").write_text(password)
    auth = f"primaryauth {password}"
    with Valkey(directory / "primary", ["appendonly no", auth]) as primary:
        follow = f"replicaof 127.0.0.1 {primary.port}"
        with Valkey(directory / "replica", ["appendonly no", auth, follow]) as replica:
            with redis.Redis.from_url(replica.url) as client:
                wait_until(
                    lambda: client.info("replication")["master_link_status"] == "up", _TIMEOUT, "a replica"
                )
            port, process = _sentinel(directory, primary, password)
            try:
                with redis.Redis(
                    port=port, password=password, socket_timeout=2, retry=Retry(NoBackoff(), 0)
                ) as client:
                    wait_until(
                        lambda: _knows_the_replica(client), _TIMEOUT, "a Sentinel that knows the replica"
                    )
                    url = f"redis+sentinel://:{password}@127.0.0.1:{port}/0?service={SERVICE}"
                    yield SentinelServers(primary, replica, url, client)
            finally:
                process.kill()
                process.wait()


def _sentinel(directory: Path, primary: Valkey, password: str) -> tuple[int, subprocess.Popen[bytes]]:
    user, home, port = server_user(directory), directory / "sentinel", free_port()
    private_directory(home, user)
    configuration = home / "sentinel.conf"
    configuration.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
        f"sentinel auth-pass {SERVICE} {password}\n"
        f"sentinel down-after-milliseconds {SERVICE} 500\n"
        f"sentinel failover-timeout {SERVICE} 3000\n"
    )
    if user.uid is not None and user.gid is not None:
        os.chown(configuration, user.uid, user.gid)  # Sentinel writes its state to this file
    process = spawn(
        [psutil.Process(primary.pid).exe(), str(configuration), "--sentinel"],
        user=user,
        directory=home,
        log=directory / "sentinel.log",
    )
    return port, process


def _knows_the_replica(client: Any) -> bool:
    try:
        return bool(client.execute_command("SENTINEL", "replicas", SERVICE))
    except redis.ConnectionError:
        return False
