"""Our own processes replaced under load, by the same code and by another version's."""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.harness.environment import LEASE, Stage
from tests.faults.harness.fleet import ROOT, Member
from tests.faults.harness.waiting import until
from tests.faults.matrix import Fault, Scene

_PATIENCE = 30.0


def rolling_restart(scene: Scene) -> None:
    """Replace every process, one after another, under load, and look at how each ends."""
    stage = scene.stage
    for member in list(stage.fleet.members.values()):
        wrong = stage.fleet.end(member)
        assert not wrong, wrong
        _again(stage, member)


def rolling_upgrade(scene: Scene) -> None:
    """Go back to the version before, process by process, and forward again: both run side by side.

    The version before is the commit before, or what ``FAULTS_BEFORE`` names to git.
    """
    stage = scene.stage
    with TemporaryDirectory(prefix="dravo-before-") as name:
        revision = os.environ.get("FAULTS_BEFORE", "HEAD~1")
        command = ["git", "-C", str(ROOT), "archive", revision, "shared", "worker", "scheduler", "api_stub"]
        packed = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", name], input=packed.stdout, check=True)
        for root in (Path(name), ROOT):
            for member in list(stage.fleet.members.values()):
                wrong = stage.fleet.end(member)
                assert not wrong, wrong
                _again(stage, member, root)
            stage.await_reads(stage.now(), (2 * LEASE).total_seconds())


def _again(stage: Stage, member: Member, root: Path = ROOT) -> None:
    word = {"worker": b"worker_started", "scheduler": b"scheduler_started", "api_stub": b"api_listening"}
    ready = word[member.module]
    said = member.log.read_bytes().count(ready)
    fresh = stage.fleet.start(member.module, name=member.name, root=root)
    until(lambda: fresh.log.read_bytes().count(ready) > said, _PATIENCE, f"{member.name} again")


FAULTS = (
    Fault("rolling restart under load", rolling_restart, short=False, replaces_api=True),
    Fault("rolling upgrade, old and new code", rolling_upgrade, short=False, replaces_api=True),
)
