"""What a process needs of Redis and PostgreSQL: one list, for the receiver, the worker and the command.

What is asked and what the answers mean stands here; who asks has connections of its own. Decision 29.
"""
