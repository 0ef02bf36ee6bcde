"""Geometry of SVG charts, computed from series; the stylesheet sets the colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_DIGITS: Final = 1


@dataclass(frozen=True, slots=True)
class Line:
    """A line chart: one path, and the area below it."""

    width: int
    height: int
    path: str
    area: str
    last: tuple[float, float] | None
    """The last point of the line."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One segment of a stacked bar."""

    kind: str
    x: float
    y: float
    width: float
    height: float


def line(
    points: Sequence[tuple[float, float | None]],
    *,
    width: int,
    height: int,
    low: float | None = None,
    high: float | None = None,
    steps: bool = False,
) -> Line:
    """Return a line through ``(x, y)`` points; ``None`` is a gap. ``steps``: a value holds until the next."""
    known = [y for _, y in points if y is not None]
    if not known:
        return Line(width, height, "", "", None)
    low, high = min(known) if low is None else low, max(known) if high is None else high
    first, last = points[0][0], points[-1][0]
    usable_height = height - 4

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 1.0
        up = (y - low) / (high - low) if high > low else 0.5 if y else 0.0
        return round(across * width, _DIGITS), round(
            2 + usable_height * (1 - min(1.0, max(0.0, up))), _DIGITS
        )

    segments: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            segments.append([])
        else:
            segments[-1].append(place(x, y))
    segments = [segment for segment in segments if segment]
    if len(segments) == 1 and len(segments[0]) == 1:
        segments = [[(0.0, segments[0][0][1]), (float(width), segments[0][0][1])]]
    drawn = [_path(segment, steps=steps) for segment in segments]
    areas = [
        f"{path} L{segment[-1][0]} {height} L{segment[0][0]} {height} Z"
        for path, segment in zip(drawn, segments, strict=True)
    ]
    return Line(width, height, " ".join(drawn), " ".join(areas), segments[-1][-1])


def _path(segment: Sequence[tuple[float, float]], *, steps: bool) -> str:
    parts = [f"M{segment[0][0]} {segment[0][1]}"]
    for x, y in segment[1:]:
        parts.append(f"H{x} V{y}" if steps else f"L{x} {y}")
    return " ".join(parts)
