"""The invariants, checked from outside: the simulator's log against receipts and ledger. Pure.

Each check takes plain values and returns its findings, one line each; no finding means that it holds.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from deploy.local.demo.answers import WITH_TRANSACTION, AnswerKey, AnswerKeys
from deploy.local.demo.history import Accept, History, Sent, Transaction
from deploy.local.demo.planning.plan import SUCCESS, Plan

CLOSED: Final = frozenset({"answered", "refused", "expired"})
# The simulator rounds its times to milliseconds.
_CLOCK_STEP: Final = timedelta(milliseconds=1)


def lost(history: History) -> list[str]:
    """Find events that were received and did not come to an end, or whose end is not the truth."""
    return [*_without_end(history), *_answered_without_acknowledgement(history), *_unrecorded(history)]


def double_credits(history: History, expected_balances: Mapping[str, int]) -> list[str]:
    """Find money that moved more than once, or otherwise than `expected_balances` (minor units) say."""
    made = [row for row in history.transactions if row.kind != "opening"]
    by_key = Counter((row.cashback_id, row.transaction_type) for row in made)
    reversals = Counter(row.reverses for row in made if row.reverses is not None)
    payouts = Counter(row.cashback_id for row in made if row.kind == "payout")
    by_event = Counter(row.token_sha256 for row in made)
    sent = {make.token_sha256 for make in history.makes}
    findings = [
        *(f"{n} transactions for CashbackId {key[0]}, type {key[1]}" for key, n in by_key.items() if n > 1),
        *(f"transaction {payout} was reversed {n} times" for payout, n in reversals.items() if n > 1),
        *(f"{n} payouts for CashbackId {cashback_id}" for cashback_id, n in payouts.items() if n > 1),
        *(f"{n} transactions for the token {token}" for token, n in by_event.items() if n > 1),
        *(f"transactions for {token}, which BETCORE never sent" for token in by_event if token not in sent),
    ]
    balances = {row.user_id: row.balance_minor for row in history.accounts if row.user_id is not None}
    for user_id in sorted(balances.keys() | expected_balances.keys()):
        has, should = balances.get(user_id), expected_balances.get(user_id)
        if has != should:
            findings.append(f"the balance of user {user_id} is {has}, not {should} minor units")
    return findings


def false_success(history: History) -> list[str]:
    """Find accepts that tell of a transaction which does not stand so, or did not stand yet."""
    transactions = {
        row.partner_transaction_id: row for row in history.transactions if row.cashback_id is not None
    }
    decided = {(receipt.code, receipt.transaction_id) for receipt in history.receipts}
    findings = []
    for accept in history.accepts:
        if accept.error_code not in WITH_TRANSACTION:
            continue
        row = transactions.get(accept.partner_transaction_id or "")
        if row is None:
            findings.append(f"accept {accept.accept_id}: no transaction {accept.partner_transaction_id}")
        elif fault := _difference(accept, row):
            findings.append(f"accept {accept.accept_id}: {fault}")
        elif (accept.error_code, row.transaction_id) not in decided:
            findings.append(f"accept {accept.accept_id}: no event was decided so: {accept.error_code}")
    return findings


def error_answers(history: History) -> list[str]:
    """Find events that were credited and declined all the same, on record or towards BETCORE."""
    keys = AnswerKeys(history)
    standing = {(row.cashback_id, row.transaction_type) for row in history.transactions}
    credited = {row.token_sha256 for row in history.transactions}
    decided = {keys.of_receipt(receipt) for receipt in history.receipts}
    findings = [
        f"CashbackId {receipt.cashback_id} was credited and decided as {receipt.code}"
        for receipt in history.receipts
        if receipt.code != SUCCESS and receipt.token_sha256 in credited
    ]
    for accept in history.accepts:
        key = keys.of_accept(accept)
        declines = accept.error_code is not None and accept.error_code not in WITH_TRANSACTION
        if declines and (accept.cashback_id, key[2]) in standing and key not in decided:
            findings.append(f"accept {accept.accept_id} declines CashbackId {accept.cashback_id}: credited")
    return findings


def late_credits(history: History) -> list[str]:
    """Find money that moved after the credit cut-off of its event, or for no event at all."""
    cutoffs = {receipt.token_sha256: receipt.credit_cutoff_at for receipt in history.receipts}
    findings = []
    for row in history.transactions:
        if row.kind == "opening":
            continue
        cutoff_at = cutoffs.get(row.token_sha256 or "")
        if cutoff_at is None:
            findings.append(f"transaction {row.transaction_id} belongs to no event")
        elif row.created_at > cutoff_at:
            findings.append(f"transaction {row.transaction_id} was made after its cut-off, {cutoff_at}")
    return findings


def late_accepts(history: History) -> list[str]:
    """Find accepts that came after BETCORE's time was up."""
    return [
        f"accept {accept.accept_id} for CashbackId {accept.cashback_id} came too late"
        for accept in history.accepts
        if accept.late
    ]


def books_sum_minor(history: History) -> int:
    """Return how far the books are from balance: the sums of all currencies, without their signs."""
    currencies = {row.account_id: row.currency for row in history.accounts}
    sums: Counter[str] = Counter()
    for entry in history.entries:
        sums[currencies.get(entry.account_id, "")] += entry.amount_minor
    return sum(abs(total) for total in sums.values())


def wrong_books(history: History) -> list[str]:
    """Find transactions that do not balance, and accounts whose balance is not the sum of their entries."""
    by_transaction: Counter[int] = Counter()
    by_account: Counter[int] = Counter()
    for entry in history.entries:
        by_transaction[entry.transaction_id] += entry.amount_minor
        by_account[entry.account_id] += entry.amount_minor
    return [
        *(f"transaction {row} sums to {total}" for row, total in by_transaction.items() if total),
        *(
            f"account {row.account_id} holds {row.balance_minor}, its entries {by_account[row.account_id]}"
            for row in history.accounts
            if row.balance_minor is not None and row.balance_minor != by_account[row.account_id]
        ),
    ]


def ends(history: History) -> Counter[str]:
    """Count the received events by their state; `answered` counts only what BETCORE took in time."""
    keys = AnswerKeys(history)
    receipts = {receipt.token_sha256: receipt for receipt in history.receipts}
    acknowledged = _acknowledged_in_time(history)
    counts: Counter[str] = Counter()
    for token in history.received_tokens():
        receipt = receipts.get(token)
        if receipt is None or receipt.state not in CLOSED:
            continue
        if receipt.state == "answered":
            key = keys.of_receipt(receipt)
            if acknowledged[key] == 0:
                continue
            acknowledged[key] -= 1
        counts[receipt.state] += 1
    return counts


def without_end(history: History) -> list[str]:
    """Say where the ends do not add up to what was received."""
    received, counts = len(history.received_tokens()), ends(history)
    if counts.total() == received:
        return []
    return [f"{received} events were received, {counts.total()} came to an end: {dict(counts)}"]


def unexpected(plan: Plan, sent: Mapping[int, Sent], history: History) -> list[str]:
    """Find what came otherwise than planned: in the answer to make, in the end, or not at all."""
    receipts = {receipt.token_sha256: receipt for receipt in history.receipts}
    findings = []
    if len(history.makes) != len(plan.makes):
        findings.append(f"{len(plan.makes)} makes were planned, {len(history.makes)} were sent")
    for make in plan.makes:
        name = f"make {make.number} ({make.kind}, CashbackId {make.cashback_id})"
        came, wanted = sent.get(make.number), make.expected
        if came is None:
            findings.append(f"{name} was not sent: what it follows did not come so far")
            continue
        receipt = receipts.get(came.token_sha256)
        found = (receipt.state, receipt.code, receipt.unconfirmed) if receipt else (None, None, False)
        if came.http_status != wanted.http_status:
            why = f" ({came.error})" if came.error else ""
            findings.append(f"{name}: the receiver said {came.http_status}{why}, not {wanted.http_status}")
        if found != (wanted.state, wanted.code, wanted.unconfirmed):
            expected = (wanted.state, wanted.code, wanted.unconfirmed)
            findings.append(f"{name}: (state, code, unconfirmed) is {found}, not {expected}")
    return findings


def _acknowledged_in_time(history: History) -> Counter[AnswerKey]:
    keys = AnswerKeys(history)
    return Counter(
        keys.of_accept(accept) for accept in history.accepts if accept.acknowledged and accept.in_time
    )


def _without_end(history: History) -> list[str]:
    receipts = {receipt.token_sha256: receipt for receipt in history.receipts}
    findings = []
    for token in sorted(history.received_tokens()):
        receipt = receipts.get(token)
        if receipt is None:
            findings.append(f"the token {token} was received and is not on record")
        elif receipt.state not in CLOSED:
            findings.append(f"CashbackId {receipt.cashback_id} was received and is still {receipt.state}")
    return findings


def _answered_without_acknowledgement(history: History) -> list[str]:
    keys = AnswerKeys(history)
    acknowledged = _acknowledged_in_time(history)
    answered = Counter(keys.of_receipt(row) for row in history.receipts if row.state == "answered")
    return [
        f"{n} events on record as answered with {key}, of which {acknowledged[key]} were acknowledged in time"
        for key, n in answered.items()
        if n > acknowledged[key]
    ]


def _unrecorded(history: History) -> list[str]:
    keys = AnswerKeys(history)
    answered = {keys.of_receipt(row) for row in history.receipts if row.state == "answered"}
    # An acknowledgement that was lost on the way is no news to the service, and may stay unrecorded.
    return [
        f"accept {accept.accept_id} for CashbackId {accept.cashback_id} was acknowledged: not on record"
        for accept in history.accepts
        if accept.acknowledged and accept.delivered and keys.of_accept(accept) not in answered
    ]


def _difference(accept: Accept, row: Transaction) -> str | None:
    """Say in what an accept differs from the transaction that it names."""
    told = (accept.cashback_id, accept.transaction_type, accept.user_id)
    stands = (row.cashback_id, row.transaction_type, row.user_id)
    if told != stands:
        return f"tells of {told}, the ledger has {stands}"
    scale = row.exponent
    amounts = [None if n is None else n.scaleb(scale) for n in (accept.amount, accept.tax_amount)]
    if amounts != [row.amount_minor, row.tax_minor]:
        return f"tells of {amounts} minor units, the ledger has {[row.amount_minor, row.tax_minor]}"
    told_at = datetime.fromtimestamp(accept.received_at_ms / 1000, tz=UTC)
    if row.created_at > told_at + _CLOCK_STEP:
        return f"told at {told_at} of what was made at {row.created_at}"
    return None
