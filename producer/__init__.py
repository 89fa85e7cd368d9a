"""Everything up to the queue, and what both sides share.

`app` composes the receiver and may import every room; nothing imports it, and nothing here imports `worker`.
Decisions 6 and 19.
"""
