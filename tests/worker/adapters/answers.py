"""Reads of a platform whose answers are written down word by word."""

from collections.abc import Sequence

import httpx

from tests.worker.adapters.harness import Outcome, drain
from tests.worker.adapters.support import NOW, replies, upstream
from worker.adapters.contract import Adapter
from worker.readings import Account, Publication


def read_from(
    adapter: Adapter, by: Account, publications: Sequence[Publication], *answers: httpx.Response
) -> Outcome:
    """Read these publications once, at `NOW`, from a platform that gives these answers and no more."""
    return drain(adapter.fetch(upstream(replies(*answers), now=NOW), by, publications))
