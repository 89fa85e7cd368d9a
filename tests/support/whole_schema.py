"""What a whole schema has, and what is refused where a part of it is missing. Decision 52."""

import json
import re
from typing import Any, Final

import psycopg
import pytest

from cashback_client.contract import event_id_of
from producer.shared.preconditions.whole import NOT_WHOLE
from worker.schema.files import shipped_files

[FILE] = [file.sql for file in shipped_files().functions if file.name == "functions/schema.sql"]
TABLES: Final = ("currencies", "accounts", "transactions", "entries", "receipts", "adjustments")


def required(kind: str) -> list[str]:
    """Return the names of a list of functions/schema.sql."""
    match = re.search(rf"FUNCTION required_{kind}\(\).*?'\{{(.*?)\}}'", FILE, re.DOTALL)
    assert match is not None
    return re.findall(r"\w+", match[1])


TRIGGERS, KEYS, CHECKS, CLOSED = (required(kind) for kind in ("triggers", "keys", "checks", "closed"))

CALLS: Final = {
    "settle_event": "SELECT settle_event(%(id)s, %(token)s, 1, now(), 600, 900, 60,"
    " 'payout', 1, 'ann', 10, 0, false, true, true)",
    "settle_events": "SELECT settle_events(%(events)s, 600, 900, false)",
    "give_up_event": "SELECT give_up_event(%(id)s)",
    "give_up_overdue": "SELECT give_up_overdue(10)",
    "apply_accounts_import": "SELECT apply_accounts_import('a file', repeat('0', 64), 'a person', NULL)",
    "order_replay": "SELECT order_replay('{}', 1, 'a person', 'a reason')",
    "claim_replays": "SELECT count(*) FROM claim_replays(1, 1, 1, 1)",
    "note_replays": "SELECT note_replays('{}', '{}', '{}', '{}', '{}', NULL)",
    "prune_tokens": "SELECT prune_tokens(2592000, 1)",
    "adjust_account": "SELECT adjust_account('a key', 'ann', 1, 'a person', 'a reason')",
    "decide_adjustment": "SELECT decide_adjustment('a key', true, 'a person', 'a reason')",
}
WITHOUT_RIGHTS: Final = "UPDATE pg_proc SET proacl = NULL WHERE proname ="
TOKEN: Final = "a token"
EVENT: Final[dict[str, Any]] = {
    "id": event_id_of(TOKEN),
    "token": TOKEN,
    "events": json.dumps(
        [
            {
                "event_id": str(event_id_of(TOKEN)),
                "token": TOKEN,
                "cashback_id": 1,
                "received_at": "now",
                "hold_seconds": 60,
                "kind": "payout",
                "transaction_type": 1,
                "user_id": "ann",
                "amount": "10",
                "tax": "0",
            }
        ]
    ),
}
"""The parameters of CALLS."""


def refused(books: psycopg.Connection, call: str, *, naming: str) -> None:
    """Expect that the call is refused because a part is missing, and names it."""
    with pytest.raises(psycopg.DatabaseError) as caught:
        books.execute(CALLS[call].encode(), EVENT)
    assert caught.value.sqlstate == NOT_WHOLE
    assert naming in (caught.value.diag.message_primary or "")


def table_of(name: str) -> str:
    return name.partition("_")[0]
