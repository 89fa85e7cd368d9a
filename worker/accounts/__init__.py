"""Accounts as an operator changes them: the import of a file, and corrections of one account.

May import `domain` and `cashback_client`. Decisions 19 and 51.
"""
