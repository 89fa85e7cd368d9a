"""From the events of one request to their copies: time of receipt, verification, what is on record.

May import what the receiver may, and of the room above it errors, models and reading.
"""
