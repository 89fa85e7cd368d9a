"""What partner services hand in over HTTP, and how they ask what became of it. Decision 43.

May import what the receiver may, and of the receiver itself what makes are handled with.
"""
