"""BETCORE on the wire, written down once for all that play it: this simulator, the tests' and the benchmark's.

It shares no code with the service, and imports nothing of the simulator but its errors.
"""
