"""Pictures of the tables, as PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.measure import Table
from tests.benchmarks.report import number

# What is drawn of each table.
DRAWN: Final = {
    "receiver": ("accepts_per_second",),
    "latency": ("p50_ms", "p99_ms"),
    "settlement": ("events_per_second",),
    "growth": ("cpu_ms_per_event", "ms_per_event"),
    "memory": ("early_rss_mb", "late_rss_mb"),
}
_COLOURS: Final = ("#2f6690", "#d17b0f", "#7a7a7a")
_ROW_INCHES: Final = 0.32
_BAR: Final = 0.8


def draw(table: Table, directory: Path) -> Path | None:
    """Draw one table's medians and spread; return the picture's path, None where nothing of it is drawn."""
    rows = table.rows()
    measured = {value for row in rows for value in table.values(row)}
    values = [value for value in DRAWN.get(table.name, ()) if value in measured]
    if not values:
        return None
    figure = Figure(
        figsize=(8, 1.4 + _ROW_INCHES * len(rows) * max(1, 0.7 * len(values))), layout="constrained"
    )
    axes = figure.subplots()
    for place, value in enumerate(values):
        _draw_value(axes, table, rows, value, place=place, of=len(values))
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.set_title(table.title, fontsize=10)
    axes.set_xlabel("median, with least and greatest of the rounds", fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower right", ncols=len(values), fontsize=8, frameon=False)
    path = directory / f"{table.name}.png"
    save(figure, path)
    return path


def save(figure: Figure, path: Path) -> None:
    """Write a picture, whose directory is made where there is none."""
    mpl.use("Agg")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the version that matplotlib would put in: the same figures make the same picture.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_value(  # noqa: PLR0913 -- where it is drawn, what, and its place among its neighbours
    axes: Axes, table: Table, rows: Sequence[str], value: str, *, place: int, of: int
) -> None:
    height = _BAR / of
    shown = [line for line, row in enumerate(rows) if value in table.values(row)]
    medians = [table.median(rows[line], value) for line in shown]
    spreads = [table.spread(rows[line], value) for line in shown]
    errors = [
        [median - least for median, (least, _) in zip(medians, spreads, strict=True)],
        [greatest - median for median, (_, greatest) in zip(medians, spreads, strict=True)],
    ]
    bars = axes.barh(
        [line - _BAR / 2 + height * (place + 0.5) for line in shown],
        medians,
        height=height * 0.9,
        xerr=errors,
        color=_COLOURS[place],
        ecolor="#333333",
        label=value.replace("_", " "),
    )
    axes.bar_label(bars, labels=[number(median) for median in medians], padding=3, fontsize=7)
