"""The books in PostgreSQL: settling, alone and in groups, and the marks of what was answered.

May import `domain` and `producer.shared`; its SQL is in `worker/schema/`.
"""
