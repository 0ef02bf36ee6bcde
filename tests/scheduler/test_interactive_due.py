"""The database is asked for interactive work when some may be due, and not at every tick."""

from datetime import timedelta

from scheduler.interactive_due import InteractiveDue


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        """Return the instant that was set."""
        return self.now


def test_database_is_asked_at_first_and_after_each_notification() -> None:
    due = InteractiveDue(Clock())
    assert due.may_be_due()
    due.none_due(due.asking(), None)
    assert not due.may_be_due()
    due.notified()
    assert due.may_be_due()


def test_notification_that_comes_while_the_database_answers_is_not_lost() -> None:
    due = InteractiveDue(Clock())
    notifications = due.asking()
    due.notified()
    due.none_due(notifications, None)
    assert due.may_be_due()


def test_next_timer_and_a_lost_notification_are_waited_for() -> None:
    for next_timer, wait in ((None, 5), (timedelta(seconds=2), 2), (timedelta(seconds=10), 5)):
        clock = Clock()
        due = InteractiveDue(clock)
        due.none_due(due.asking(), next_timer)
        clock.now += wait - 0.01
        assert not due.may_be_due()
        clock.now += 0.01
        assert due.may_be_due()
