"""The HTTP face: from the request of a make to BETCORE's envelope.

May import `producer.client`, `producer.protocol` and `producer.copies`.
"""
