"""What no worker can settle: described, kept in PostgreSQL, listed, and put back by an operator.

May import `domain` and `ledger`.
"""
