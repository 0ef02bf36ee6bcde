"""How far a replica is behind its primary, from pairs of positions in the write-ahead log."""

from collections import deque
from typing import Final

_MOST_SAMPLES: Final = 4_096


class ReplicationLag:
    """Measures the lag in seconds of one clock: since when the replica lacks what the primary had.

    The instant of the last replayed transaction would make an idle primary look like a lag that grows.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def observe(self, at: float, primary: int, replayed: int, age: float | None) -> float:
        """Return the lag after both positions were read: the primary's at ``at``, then the replica's.

        ``age``: seconds since the commit of the last replayed transaction. It counts until the replica has
        replayed a position that this process has seen; ``None`` when it has replayed no transaction.
        """
        if not self._samples and replayed < primary:
            self._samples.append((at - (age or 0.0), 0))
        self._samples.append((at, primary))
        while len(self._samples) > 1 and self._samples[1][1] <= replayed:
            self._samples.popleft()
        if len(self._samples) > _MOST_SAMPLES:  # far behind: half as many instants are exact enough
            self._samples = deque([self._samples[0], *list(self._samples)[2::2]])
        return at - self._samples[0][0]
