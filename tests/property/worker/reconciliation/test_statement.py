"""Whatever a statement holds: its rows are sound, COPY takes each as one line, and the rest are faults."""

import io

from hypothesis import example, given
from hypothesis import strategies as st

from worker.reconciliation.loading import copy_line
from worker.reconciliation.statement import BadStatement, StatementFile
from worker.reconciliation.statement_form import read_form

FORM = read_form(
    b"decimal_comma = true",
    columns="cashback_id=ID,amount=Sum,type=Kind,user=Player,currency=Cur,status=State,at=Time",
    delimiter=";",
    timezone="Pacific/Kiritimati",
)
HEADER = b"ID;Sum;Kind;Player;Cur;State;Time\n"
GOOD = ("1", "1,5", "1", "ann", "EUR", "Paid", "2026-11-25T12:00:00Z")
MANY_LINES = st.lists(st.binary(max_size=60), max_size=5).map(b"\n".join)
# A good row with one field of anything at all.
ONE_FIELD = st.tuples(st.sampled_from(range(len(GOOD))), st.text(max_size=30)).map(
    lambda where: ";".join(where[1] if place == where[0] else each for place, each in enumerate(GOOD)).encode(
        "utf-8", "surrogatepass"
    )
)


@example(b'1;1;1;"a\tb";EUR;Paid;')
@example(b"1;1;1;\\N;EUR;Paid;")
@example(b"1;1;1;a\\;EUR;Paid;0001-01-01T00:00:00")
@example("1;1;1;a\u2028b;EUR;Paid;9999-12-31T23:59:59-23:59".encode())
@given(MANY_LINES | ONE_FIELD)
def test_a_row_is_one_line_for_copy_whatever_stands_in_it(content: bytes) -> None:
    file = StatementFile(io.BytesIO(HEADER + content), FORM)
    try:
        rows = list(file)
    except BadStatement:
        return

    for row in rows:
        line = copy_line(row)
        assert (line.count("\t"), line.count("\n"), line[-1]) == (7, 1, "\n")
        assert 0 < row.cashback_id < 2**63
        assert row.status in {"confirmed", "cancelled", "open"}
    assert len(rows) + file.fault_count == file.row_count
