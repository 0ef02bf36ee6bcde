"""Which rows an account's state blocks, and which of them are due again afterwards."""

from shared.refresh_state.block import block, unblock
from shared.vocabulary import Platform
from tests.harness import Harness


def test_another_workspace_blocks_and_unblocks_no_row(harness: Harness) -> None:
    (publication,) = harness.publications(harness.account("acc_1"))
    with harness.engine.begin() as connection:
        assert block(connection, "ws_2", "acc_1", "Reconnect.") == 0
        assert block(connection, "ws_1", "acc_2", "Reconnect.") == 0
    assert harness.state(publication).reason == "new"

    with harness.engine.begin() as connection:
        assert block(connection, "ws_1", "acc_1", "Reconnect.") == 1
        assert unblock(connection, "ws_2", "acc_1") == 0
    assert harness.state(publication).reason == "blocked"


def test_video_whose_public_id_is_not_known_yet_is_due_again_by_its_publish_id(harness: Harness) -> None:
    (publication,) = harness.publications(harness.account("acc_1", Platform.TIKTOK))
    harness.execute("UPDATE publications SET platform_post_id = NULL, publish_id = 'v_pub_1'")

    with harness.engine.begin() as connection:
        block(connection, "ws_1", "acc_1", "Reconnect.")
        assert unblock(connection, "ws_1", "acc_1") == 1

    assert harness.state(publication).reason == "reconnected"
