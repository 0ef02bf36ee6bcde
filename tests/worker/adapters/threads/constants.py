"""The sixth platform's word and settings, kept in the test tree.

In the product these are a member of `shared.vocabulary.Platform` and fields of `shared.settings.Settings`;
an enum with members cannot be extended from outside, so the member is of an enum of our own here.
"""

from enum import StrEnum
from typing import Final, Self, cast

from shared.setting_types import Host
from shared.settings import Settings
from shared.vocabulary import Platform


class _Sixth(StrEnum):
    """One platform more, made as those of `Platform` are."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        """Make a member of its word and its name."""
        if not label:
            raise TypeError(f"the platform {value} has no label")
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    THREADS = "threads", "Threads"


THREADS: Final = cast(Platform, _Sixth.THREADS)


class ThreadsSettings(Settings):
    """The settings, with the host of one platform more."""

    threads_api_url: Host = "https://graph.threads.net"
