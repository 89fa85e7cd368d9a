"""What the operator's command reads of the books and the receipts.

May import `domain`. Decision 19.
"""
