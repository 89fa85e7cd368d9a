"""Reconciliation: the books against themselves, against receipts, and against BETCORE's statement.

Reads and never mends. May import `domain`, `csv_lines`, `errors` and `cashback_client`. Decision 49.
"""
