"""What other services install to enqueue: the contract, and the form of an entry of the queue.

The lowest room: it imports pydantic and the standard library, and nothing else of the project.
"""
