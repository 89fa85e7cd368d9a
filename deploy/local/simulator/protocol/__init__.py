"""BETCORE on the wire, written down once for all that play it: the simulator, tests and benchmarks.

It shares no code with the service, and imports nothing of the simulator but its errors.
"""
