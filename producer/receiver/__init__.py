"""The HTTP face: from the request of a make to BETCORE's envelope.

May import every other room of `producer`.
"""
