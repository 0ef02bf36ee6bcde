"""The sixth platform's word and settings, kept in the test tree.

In the product these are a member of `shared.vocabulary.Platform` and fields of `shared.settings.Settings`;
an enum with members cannot be extended from outside, so the member is of an enum of our own here.
"""

from enum import StrEnum
from typing import Final, cast

from shared.settings import Host, Settings
from shared.vocabulary import Platform


class _Sixth(StrEnum):
    """One platform more."""

    THREADS = "threads"


THREADS: Final = cast(Platform, _Sixth.THREADS)


class ThreadsSettings(Settings):
    """The settings, with the host of one platform more."""

    threads_api_url: Host = "https://graph.threads.net"
