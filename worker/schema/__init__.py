"""The database's schema: SQL by topic, and how it is applied.

May import nothing of the other rooms but `worker.errors`.
"""
