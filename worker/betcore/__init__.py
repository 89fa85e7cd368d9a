"""What is asked of BETCORE: the accept call, and the access token that it needs.

May import `domain` and `http`.
"""
