"""What comes in over HTTP: connections, heads and bodies within limits.

May import what the receiver may, and of the receiver itself `answers`.
"""
