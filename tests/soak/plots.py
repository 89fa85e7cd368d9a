"""A picture of a soak: what stands still, and what an event costs, over its minutes."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.plots import save
from tests.soak.verdict import Finding, Span, Verdict

# Of each panel: its title, and which series.
_PANELS: Final = (
    (
        "private memory, MB",
        ("worker.*/private_mb", "web/private_mb", "flower/private_mb", "postgres/private_mb"),
    ),
    ("descriptors", ("worker.*/descriptors", "web/descriptors", "flower/descriptors", "valkey/descriptors")),
    ("threads", ("worker.*/threads", "web/threads", "flower/threads")),
    ("connections", ("postgres/connections", "redis/connections")),
    (
        "Redis: memory and the rewritten file, MB",
        ("redis/memory_mb", "redis/aof_base_mb", "valkey/private_mb"),
    ),
    ("bytes per row, indexes included", ("table/*/bytes_per_row",)),
    ("dead rows per row", ("table/*/dead_per_row",)),
    ("log lines per event", ("log.*/lines",)),
)
_COLUMNS: Final = 2
_ROW_INCHES: Final = 2.6
_HOUR_MINUTES: Final = 60


def draw(findings: Sequence[Finding], span: Span, path: Path) -> None:
    """Draw one point for each cycle after the warm-up; what grows is drawn thick."""
    rows = -(-len(_PANELS) // _COLUMNS)
    figure = Figure(figsize=(11, 0.6 + _ROW_INCHES * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, sharex=True).flat
    for axes, (title, patterns) in zip(panels, _PANELS, strict=True):
        shown = [f for f in findings if f.points and any(fnmatchcase(f.name, p) for p in patterns)]
        _draw_panel(axes, title, [f for f in shown if not _is_tiny(f)])
    figure.suptitle(
        f"By cycles of {span.cycle_seconds:g} s, after {span.warm_up_seconds / 60:.1f} min", fontsize=9
    )
    figure.supxlabel("minutes", fontsize=8)
    save(figure, path)


def _draw_panel(axes: Axes, title: str, findings: Sequence[Finding]) -> None:
    for finding in findings:
        grows = finding.verdict == Verdict.GROWS
        name = finding.name.rpartition("/")[0].removeprefix("table/").removeprefix("log.")
        axes.plot(
            [hours * _HOUR_MINUTES for hours, _ in finding.points],
            [value for _, value in finding.points],
            label=f"{name} grows" if grows else name,
            linewidth=3 if grows else 1.2,
        )
    axes.set_title(title, fontsize=9)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if findings:
        axes.legend(fontsize=6, frameon=False, ncols=2)


def _is_tiny(finding: Finding) -> bool:
    # A table of ten rows has thousands of bytes a row, and nothing beside it could be seen.
    return finding.name.endswith("/bytes_per_row") and not finding.rule.judged
