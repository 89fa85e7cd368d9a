"""The HTTP face: from the request of a make to BETCORE's envelope.

What bounds a request before it is one is in `http`. May import `cashback_client`, `producer.protocol`,
`producer.copies`, and of `producer.shared` what .importlinter names.
"""
