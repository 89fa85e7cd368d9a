"""Which accept answers which event: both are given the same key. Pure."""

from typing import Final

from deploy.local.demo.history import Accept, History, Receipt
from deploy.local.demo.planning.plan import ALREADY_EXISTS, SUCCESS

WITH_TRANSACTION: Final = frozenset({SUCCESS, ALREADY_EXISTS})

AnswerKey = tuple[int | None, int | None, str | int | None]
"""What an answer says: CashbackId, ErrorCode, and the transaction or, without one, the TransactionType."""


class AnswerKeys:
    """Tells which answer belongs to which event: by the same key."""

    def __init__(self, history: History) -> None:
        self._type_of_token = {make.token_sha256: make.transaction_type for make in history.makes}
        self._types_of_cashback: dict[int, set[int]] = {}
        for make in history.makes:
            self._types_of_cashback.setdefault(make.cashback_id, set()).add(make.transaction_type)
        self._name_of_transaction = {
            row.transaction_id: row.partner_transaction_id for row in history.transactions
        }

    def of_receipt(self, receipt: Receipt) -> AnswerKey:
        """Return the key of the answer that an event on record was decided to get."""
        if receipt.transaction_id is not None:
            # No accept can name a transaction that is not there.
            missing = f"no transaction {receipt.transaction_id}"
            name = self._name_of_transaction.get(receipt.transaction_id, missing)
            return receipt.cashback_id, receipt.code, name
        return receipt.cashback_id, receipt.code, self._type_of_token.get(receipt.token_sha256)

    def of_accept(self, accept: Accept) -> AnswerKey:
        """Return the key of an accept."""
        if accept.error_code in WITH_TRANSACTION:
            return accept.cashback_id, accept.error_code, accept.partner_transaction_id
        return accept.cashback_id, accept.error_code, self._type_of(accept)

    def _type_of(self, accept: Accept) -> int | None:
        # Where the make's type could not be read, its accept names none.
        types = self._types_of_cashback.get(accept.cashback_id or 0, set())
        if accept.transaction_type is None and len(types) == 1:
            return next(iter(types))
        return accept.transaction_type
