"""How BETCORE is asked: HTTP/1.1 whose every wait ends at an absolute deadline.

May import `domain`; knows nothing of BETCORE.
"""
