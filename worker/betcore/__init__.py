"""What is asked of BETCORE: the accept call, and the access token that it needs.

May import `domain`, `producer.client` and `producer.protocol`; HTTP comes to it as a transport of httpx's.
"""
