"""The state file: the world survives a kill."""

from datetime import timedelta
from pathlib import Path

from deploy.simulators.state import FILE_NAME, StateFile
from deploy.simulators.world import World
from tests.deploy.simulators.example import NOW, PAGE, POST


def test_state_file_restores_the_world(tmp_path: Path) -> None:
    world = World(started_at=NOW)
    state_file = StateFile(tmp_path, world)
    world.add_accounts([PAGE])
    world.add_posts([POST])
    rotated = world.rotate(PAGE, access_life=timedelta(days=60), keep_former=True)
    state_file.close()
    again = World()
    StateFile(tmp_path, again).close()
    assert again.started_at == NOW
    assert again.accounts() == [rotated]
    assert again.posts() == [POST]
    assert again.holder("EAApage-token") == rotated


def test_incomplete_last_line_is_dropped(tmp_path: Path) -> None:
    state_file = StateFile(tmp_path, World())
    state_file.close()
    whole = World()
    state_file = StateFile(tmp_path, whole)
    whole.add_accounts([PAGE])
    whole.add_posts([POST])
    state_file.close()
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-5])
    torn = World()
    StateFile(tmp_path, torn).close()
    assert (len(torn.accounts()), torn.posts()) == (1, [])
