"""What a worker's process is beside its work: how it shows itself, is watched, and ends.

May import `producer.shared`, and no other room of the worker.
"""
