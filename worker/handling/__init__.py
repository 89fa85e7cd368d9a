"""One event from message to answer: verify again, settle, send accept, close.

May import `domain`, `ledger`, `betcore`, `cashback_client` and `producer.protocol`, and no library but the
one for logs. Decision 19.
"""
