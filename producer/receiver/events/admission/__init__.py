"""Who may hand in events, and how many: keys, limits with their quotas, and who has too much waiting.

May import what the receiver may, and nothing of the room above it.
"""
