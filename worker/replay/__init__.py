"""Replays: accepts that are sent again because a person ordered it. Nothing here settles or posts anything.

May import `handling` and what that may, and no library but the one for logs. Decision 48.
"""
