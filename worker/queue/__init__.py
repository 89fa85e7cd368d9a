"""The Celery side: the task, the consumer, and kombu's Redis transport as the worker uses it.

May import `domain`, `handling` and `quarantine`.
"""
