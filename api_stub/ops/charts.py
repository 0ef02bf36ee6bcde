"""Charts as plain geometry: series in, points of an SVG out. Colours are the stylesheet's."""

from collections.abc import Mapping, Sequence
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
    """Where the line ends."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of one stacked bar."""

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
    room = height - 4

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 1.0
        up = (y - low) / (high - low) if high > low else 0.5 if y else 0.0
        return round(across * width, _DIGITS), round(2 + room * (1 - min(1.0, max(0.0, up))), _DIGITS)

    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append(place(x, y))
    pieces = [piece for piece in pieces if piece]
    if len(pieces) == 1 and len(pieces[0]) == 1:
        pieces = [[(0.0, pieces[0][0][1]), (float(width), pieces[0][0][1])]]
    drawn = [_path(piece, steps=steps) for piece in pieces]
    areas = [
        f"{path} L{piece[-1][0]} {height} L{piece[0][0]} {height} Z"
        for path, piece in zip(drawn, pieces, strict=True)
    ]
    return Line(width, height, " ".join(drawn), " ".join(areas), pieces[-1][-1])


def _path(piece: Sequence[tuple[float, float]], *, steps: bool) -> str:
    parts = [f"M{piece[0][0]} {piece[0][1]}"]
    for x, y in piece[1:]:
        parts.append(f"H{x} V{y}" if steps else f"L{x} {y}")
    return " ".join(parts)


def bars(
    columns: Sequence[tuple[float, Mapping[str, float]]],
    kinds: Sequence[str],
    *,
    span: tuple[float, float],
    column: float,
    width: int,
    height: int,
) -> tuple[list[Bar], float]:
    """Return stacked bars at ``x`` in ``span``, each ``column`` wide in its unit, and what full height is."""
    full = max((sum(parts.values()) for _, parts in columns), default=0.0)
    if not full:
        return [], 0.0
    scale = width / max(span[1] - span[0] + column, column)
    made: list[Bar] = []
    for x, parts in columns:
        y = float(height)
        for kind in kinds:
            tall = parts.get(kind, 0.0) / full * (height - 2)
            if tall:
                y -= tall
                wide = max(1.0, column * scale - 1)
                made.append(
                    Bar(
                        kind,
                        round((x - span[0]) * scale, _DIGITS),
                        round(y, 2),
                        round(wide, 1),
                        round(tall, 2),
                    )
                )
    return made, full
