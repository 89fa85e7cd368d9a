"""What every process needs: settings, logs, the garbage collector, how PostgreSQL and Redis are used.

May import `producer.client` and `producer.protocol`; the worker imports from here, too.
"""
