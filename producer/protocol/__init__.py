"""BETCORE's protocol on the wire: tokens, keys, the Verify endpoint, and replies read within bounds.

May import `cashback_client`.
"""
