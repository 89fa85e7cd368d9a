"""What every process needs: settings, logs, what a process sets of itself, how PostgreSQL and Redis are used.

May import `cashback_client` and `producer.protocol`; the worker imports from here, too.
"""
