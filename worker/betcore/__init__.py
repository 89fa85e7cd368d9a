"""What is asked of BETCORE: the accept call, and the access token that it needs.

May import `domain`, `metrics`, `cashback_client`, `producer.protocol` and `producer.shared`, which has the
way out.
"""
