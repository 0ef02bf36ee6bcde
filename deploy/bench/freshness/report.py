"""The results as a table for the terminal and as a plot: error against calls, both logarithmic."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from pathlib import Path
from typing import Final

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 420, 60, 150, 30, 50
_FONT: Final = 'font-family="sans-serif" font-size="12"'
_X_LABEL: Final = "calls for each post in 30 days"
_COLOURS: Final = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#9498a0", "#a463f2")
_TICKS_X: Final = (1, 2, 5, 10, 20, 50, 100, 200)
_TICKS_Y: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

Points = Sequence[tuple[float, float]]
"""Calls for each post and mean error."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned text, the first column to the left."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *rows)
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def plot(path: Path, title: str, series: Mapping[str, Points]) -> None:
    """Write one line for each policy as an SVG file."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
        f'<text x="{_LEFT + 200}" y="{_HEIGHT - 12}">{_X_LABEL}</text>',
    ]
    for tick in _TICKS_X:
        x = _x(tick)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{tick}</text>')
    for share in _TICKS_Y:
        y = _y(share)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    labels: list[float] = []
    for (name, points), colour in zip(series.items(), _COLOURS, strict=False):
        path_data = "L".join(f"{_x(calls):.1f} {_y(error):.1f}" for calls, error in points)
        parts.append(f'<path d="M{path_data}" fill="none" stroke="{colour}" stroke-width="2"/>')
        at = _y(points[-1][1]) + 4
        while any(abs(at - other) < 13 for other in labels):
            at += 1
        labels.append(at)
        parts.append(
            f'<text x="{_x(points[-1][0]) + 6:.1f}" y="{at:.1f}" fill="{colour}">{escape(name)}</text>'
        )
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _x(calls: float) -> float:
    low, high = log10(_TICKS_X[0]), log10(_TICKS_X[-1])
    return _LEFT + (log10(calls) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)


def _y(error: float) -> float:
    low, high = log10(_TICKS_Y[0]), log10(_TICKS_Y[-1])
    return _TOP + (high - log10(max(error, 0.005))) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
