"""Services replaced under load, by the same version and by the one before."""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.harness.environment import LEASE, Environment
from tests.faults.harness.fleet import ROOT, Member
from tests.faults.harness.waiting import wait_until
from tests.faults.matrix import Fault, RoundContext

_TIMEOUT = 30.0
_STARTED = {"worker": b"worker_started", "scheduler": b"scheduler_started", "api_stub": b"api_listening"}
"""What each service logs once it runs."""


def rolling_restart(context: RoundContext) -> None:
    """Replace every process, one after another, and check how each stops."""
    environment = context.environment
    for member in list(environment.fleet.members.values()):
        problems = environment.fleet.stop(member)
        assert not problems, problems
        _restart(environment, member)


def rolling_upgrade(context: RoundContext) -> None:
    """Downgrade process by process to the version before and upgrade again, so that both run side by side.

    The version before is the commit before, or the revision that ``FAULTS_BEFORE`` names.
    """
    environment = context.environment
    with TemporaryDirectory(prefix="dravo-before-") as name:
        revision = os.environ.get("FAULTS_BEFORE", "HEAD~1")
        command = ["git", "-C", str(ROOT), "archive", revision, "shared", "worker", "scheduler", "api_stub"]
        packed = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", name], input=packed.stdout, check=True)
        for root in (Path(name), ROOT):
            for member in list(environment.fleet.members.values()):
                if member.module not in _STARTED:
                    continue
                problems = environment.fleet.stop(member)
                assert not problems, problems
                _restart(environment, member, root)
            environment.await_reads(environment.now(), (2 * LEASE).total_seconds())


def _restart(environment: Environment, member: Member, root: Path = ROOT) -> None:
    event = _STARTED[member.module]
    before = member.log.read_bytes().count(event)
    fresh = environment.fleet.start(member.module, name=member.name, root=root)
    wait_until(lambda: fresh.log.read_bytes().count(event) > before, _TIMEOUT, f"{member.name} again")


FAULTS = (
    Fault("rolling restart under load", rolling_restart, short=False, replaces_api=True),
    Fault("rolling upgrade, old and new code", rolling_upgrade, short=False, replaces_api=True),
)
