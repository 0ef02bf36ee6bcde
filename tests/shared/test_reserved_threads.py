"""Threads that are reserved for the interactive lane: one function for worker, scheduler and documents."""

from pathlib import Path

import pytest

from shared.refresh_queue import reserved_threads
from shared.settings import Settings


@pytest.mark.parametrize(
    ("threads", "share", "reserved"),
    [
        (1, 0.15, 0),
        (1, 0.9, 0),
        (2, 0.15, 1),
        (8, 0.15, 1),
        (8, 0.25, 2),
        (8, 0, 0),
        (20, 0.15, 3),
        (2, 0.9, 1),
    ],
)
def test_part_of_the_threads_is_reserved_but_never_all(threads: int, share: float, reserved: int) -> None:
    assert reserved_threads(threads, share) == reserved


def test_deploy_readme_names_the_shipped_number() -> None:
    settings = Settings()
    assert (
        settings.worker_threads,
        reserved_threads(settings.worker_threads, settings.interactive_share),
    ) == (8, 1)
    assert "`DRAVO_INTERACTIVE_SHARE` of the threads (one of the 8)" in Path("deploy/README.md").read_text(
        encoding="utf-8"
    )
