"""kombu's Redis transport as the worker uses it: entries are moved, not popped, and held under a lease.

Decisions 13, 17 and 20.
"""
