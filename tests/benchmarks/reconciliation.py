"""What a reconciliation takes: `python -m tests.benchmarks.reconciliation [ROWS]`, a million by default.

A database of its own, with as many transactions and receipts; then the command as it is run,
with and without a statement, and with one that has nothing. Time and memory are those of the command.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg

from deploy.local.postgres import DATABASE, PostgresServer
from tests.support.command import environment
from worker.schema.migrate import migrate
from worker.schema.roles import OPERATOR, RoleNames

_ROWS: Final = 1_000_000
# Ten payouts for each user, each answered. Past all guards, for speed.
_FILL: Final = (
    """
    INSERT INTO accounts (kind, user_id, currency, balance_minor)
    SELECT 'user', 'user ' || number, 'EUR', 1000 FROM generate_series(1, %(rows)s / 10) AS number
    """,
    """
    INSERT INTO transactions (kind, cashback_id, transaction_type, event_id, account_id, amount_minor)
    SELECT 'payout', number, 1, md5(number::text)::uuid, first + number / 10 - 1, 100
    FROM (SELECT min(account_id) AS first FROM accounts WHERE kind = 'user') AS one,
        generate_series(10, %(rows)s + 9) AS number
    """,
    """
    INSERT INTO entries (transaction_id, account_id, amount_minor)
    SELECT transaction_id, line.account_id, line.amount_minor
    FROM transactions,
        (SELECT account_id FROM accounts WHERE kind = 'cashback' AND currency = 'EUR') AS house,
        LATERAL (
            VALUES (transactions.account_id, 100), (house.account_id, -100)
        ) AS line (account_id, amount_minor)
    """,
    """
    INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at,
        state, code, transaction_id, settled_at, closed_at)
    SELECT event_id, cashback_id, moment, moment + interval '25 seconds', moment + interval '30 seconds',
        moment, 'answered', 200, transaction_id, moment, moment
    FROM transactions, LATERAL (SELECT created_at - interval '1 second' AS moment) AS at
    """,
)
_MAP: Final = "cashback_id=ID,type=Kind,user=Player,currency=Cur,amount=Sum,status=State,at=Time"


def main() -> None:
    """Measure, and print a line for each run."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else _ROWS
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        server = PostgresServer(Path(directory) / "postgres")
        server.start()
        try:
            _measure(server.url, Path(directory), rows)
        finally:
            server.stop()


def _measure(url: str, directory: Path, rows: int) -> None:
    migrate(url, roles=RoleNames(prefix=DATABASE))
    statement, off = directory / "theirs.csv", str(directory / "off.csv")
    _write_statement(statement, rows)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for insert in _FILL:
            connection.execute(insert, {"rows": rows})
        _run("no statistics", url)
        connection.execute("ANALYZE")
        _run("books and receipts", url)
        _run("and a statement", url, "--statement", str(statement), "--map", _MAP)
    # As many differences as there can be.
    _write_statement(statement, 0)
    _run("nothing in the statement", url, *("--statement", str(statement), "--map", _MAP, "--csv", off))


def _write_statement(path: Path, rows: int) -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with path.open("w", encoding="utf-8") as file:
        file.write("ID;Kind;Player;Cur;Sum;State;Time\n")
        for number in range(10, rows + 10):
            file.write(f"{number};1;user {number // 10};EUR;1.00;Paid;{at}\n")


def _run(name: str, url: str, *options: str) -> None:
    since = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    begun = time.monotonic()
    role = f"{url}{'&' if '?' in url else '?'}user={DATABASE}_{OPERATOR}"
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "reconcile", "--from", since, "--show", "1", *options],
        env=environment(database_url=role),
        stdout=subprocess.PIPE,
    )
    stdout = process.communicate()[0].decode()
    seconds = time.monotonic() - begun
    # The largest of all runs so far.
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    last = stdout.strip().rpartition("\n")[2]
    sys.stdout.write(f"{name}: {seconds:.1f} s, {megabytes:.0f} MB, exit {process.returncode}: {last}\n")
    if os.environ.get("BENCH_VERBOSE"):
        sys.stdout.write(stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
