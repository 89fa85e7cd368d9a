"""The rules of one event: what it asks for, how it stands, what comes next, money and time. Pure.

Imports the standard library, and `cashback_client.number` and `producer.protocol.asked`, which do the same
(decision 31).
"""
