"""The two copies of an event, its receipt in PostgreSQL and its message in Redis, made in groups.

May import `cashback_client`, `producer.protocol` and `producer.shared`.
"""
