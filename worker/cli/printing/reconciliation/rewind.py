"""What Redis knows to be committed and the ledger does not have."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from worker.cli.printing.output import print_table
from worker.ledger.commit_notes import Commit


def lost_document(lost: Sequence[Commit], *, known: int) -> dict[str, object]:
    """Return the JSON of `cashback reconcile --rewind`; its help describes it."""
    return {
        "known": known,
        "lost": [
            {
                "partner_transaction_id": commit.name,
                "cashback_id": commit.cashback_id,
                "transaction_type": commit.transaction_type,
                "event_id": commit.event_id,
                "transaction_id": commit.transaction_id,
                "seen_at": _moment(commit),
            }
            for commit in lost
        ],
    }


def print_lost(lost: Sequence[Commit], *, known: int) -> None:
    """Print what was lost, oldest first, and what to do."""
    if not lost:
        click.echo(f"Redis knows {known} commits, and all of them are in the books")
        return
    print_table(
        "Committed once, and not in these books",
        ("name", "event", "seen"),
        [(commit.name, commit.event_id, f"{_moment(commit):%m-%d %H:%M}") for commit in lost],
    )
    click.echo(f"{len(lost)} of the {known} commits that Redis knows: see docs/standby.md for what to do")


def _moment(commit: Commit) -> datetime:
    return datetime.fromtimestamp(commit.seen_at_ms / 1000, tz=UTC)
