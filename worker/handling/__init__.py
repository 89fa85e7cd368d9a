"""One event from message to answer: verify again, settle, send accept, close.

May import `domain`, `ledger`, `betcore` and what the worker takes from the producer.
"""
