"""Files of a reconciliation: differences as CSV, the result as metrics. Each is whole or not there."""

import csv
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from worker.cli.printing.cells import cell
from worker.reconciliation.check import Check, Difference, Weight
from worker.reconciliation.reconciling import Report, Sink

_COLUMNS: Final = ("check", *Difference.__slots__)
_MODE: Final = 0o666


@contextmanager
def csv_sink(path: Path | None) -> Iterator[Sink]:
    """Give what writes differences to a file; the file is there when the block has ended well."""
    if path is None:
        yield lambda _check, _difference: None
        return
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", newline="", delete=False
    ) as stream:
        written = Path(stream.name)
        try:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(_COLUMNS)

            def write(check: Check, difference: Difference) -> None:
                writer.writerow([check.name, *map(cell, _values(difference))])

            yield write
            stream.close()
            written.chmod(_MODE & ~_mask())
            written.replace(path)
        except BaseException:
            written.unlink(missing_ok=True)
            raise


def write_metrics(path: Path, report: Report) -> None:
    """Write the result in the format of Prometheus' textfile collector."""
    registry = CollectorRegistry()
    differences, information, pending, looked_at = (
        Gauge(f"cashback_reconcile_{name}", what, ["check"], registry=registry)
        for name, what in (
            ("differences", "What is wrong, by check."),
            ("information", "What is worth knowing and not wrong, by check."),
            ("pending", "What is not decided yet, by check."),
            ("looked_at", "What was looked at, by check."),
        )
    )
    for finding in report.findings:
        name = finding.check.name
        wrong = finding.check.weight == Weight.WRONG
        (differences if wrong else information).labels(name).set(finding.differences)
        pending.labels(name).set(finding.pending)
        looked_at.labels(name).set(finding.looked_at)
    for name, what, moment in (
        ("timestamp", "When the books were looked at.", report.checked_at),
        ("period_start", "Begin of the period that was looked at.", report.period.since),
        ("period_end", "End of the period that was looked at.", report.period.until),
    ):
        Gauge(f"cashback_reconcile_{name}_seconds", what, registry=registry).set(moment.timestamp())
    write_to_textfile(os.fspath(path), registry)


def _mask() -> int:
    """Return what new files are not to let others do: a temporary one is its owner's alone."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _values(difference: Difference) -> Iterator[object]:
    for name in Difference.__slots__:
        yield getattr(difference, name)
