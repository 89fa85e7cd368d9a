"""Import of accounts: the file, and what it does to the books.

May import `domain`. Decision 19.
"""
