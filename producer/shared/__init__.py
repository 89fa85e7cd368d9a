"""What every process needs: settings, logs, the garbage collector, PostgreSQL's session, preconditions.

May import `producer.client` and `producer.protocol`; the worker imports from here, too.
"""
