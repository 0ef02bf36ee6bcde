"""Redis fails over to its replica: asynchronous replication loses messages, never a refresh."""

import os
import signal

from tests.faults.matrix import Fault, Scene, play
from tests.faults.sentinel import pair
from tests.faults.stage import stage
from tests.servers import fast_parent, server_directory


def test_a_fail_over_through_sentinel_loses_no_refresh() -> None:
    with server_directory(fast_parent()) as directory, pair(directory) as servers:

        def fail_over(_scene: Scene) -> None:
            os.kill(servers.primary.pid, signal.SIGKILL)
            servers.await_failover()

        with stage(directory, seed=4, environment={"DRAVO_REDIS_URL": servers.url}) as set_up:
            result = play(set_up, Fault("fail-over", fail_over), 4)

    assert result.breaches == ()
