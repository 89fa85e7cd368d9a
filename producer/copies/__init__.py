"""The two copies of an event, its receipt in PostgreSQL and its message in Redis, made in groups.

May import `producer.client`, `producer.protocol` and `producer.shared`.
"""
