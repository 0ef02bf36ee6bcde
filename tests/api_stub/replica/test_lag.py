"""The replication lag from pairs of positions in the write-ahead log."""

from api_stub.replica import lag
from api_stub.replica.lag import ReplicationLag


def test_replica_that_has_replayed_everything_has_no_lag_however_old_its_last_transaction_is() -> None:
    measured = ReplicationLag()

    assert measured.observe(0, primary=100, replayed=100, age=3600) == 0
    assert measured.observe(600, primary=100, replayed=100, age=4200) == 0


def test_lag_is_the_age_of_the_newest_position_that_is_replayed() -> None:
    measured = ReplicationLag()
    measured.observe(0, primary=100, replayed=100, age=0)

    assert measured.observe(1, primary=200, replayed=100, age=1) == 1
    assert measured.observe(2, primary=300, replayed=150, age=2) == 2
    assert measured.observe(3, primary=400, replayed=250, age=1) == 2
    assert measured.observe(4, primary=400, replayed=400, age=0) == 0


def test_replica_that_was_behind_at_the_start_is_judged_by_its_last_transaction() -> None:
    measured = ReplicationLag()

    assert measured.observe(1000, primary=200, replayed=100, age=50) == 50
    assert measured.observe(1001, primary=300, replayed=150, age=50) == 51
    assert measured.observe(1002, primary=300, replayed=250, age=20) == 2


def test_memory_of_a_long_lag_is_bounded_and_the_lag_stays_exact() -> None:
    measured = ReplicationLag()
    measured.observe(0, primary=0, replayed=0, age=0)

    for second in range(1, 3 * lag._MOST_SAMPLES):
        assert measured.observe(second, primary=second, replayed=0, age=second) == second

    assert len(measured._samples) <= lag._MOST_SAMPLES
    assert measured.observe(second + 1, primary=second + 1, replayed=second, age=1) <= 4
