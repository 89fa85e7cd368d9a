"""What brings events back that were lost on the way, and what clears away what is old.

May import `handling`, `ledger` and `quarantine`, and nothing of `queue`.
"""
