"""How BETCORE is asked: HTTP/1.1 whose every wait ends at an absolute deadline.

May import `worker.time_limit` alone; knows nothing of BETCORE.
"""
