"""The same random histories through the SQL ledger and through the model: no difference, at any step."""

from tests.support.ledger_histories import LedgerAgainstModel, run_histories


def test_no_history_tells_the_ledger_from_its_model(database_url: str) -> None:
    run_histories(LedgerAgainstModel, database_url, max_examples=100, steps=40)
