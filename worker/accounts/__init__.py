"""Import of accounts: the file, and what it does to the books.

May import `domain` and `producer.client`. Decision 19.
"""
