"""Import of accounts: the file, and what it does to the books.

May import `domain` and `cashback_client`. Decision 19.
"""
