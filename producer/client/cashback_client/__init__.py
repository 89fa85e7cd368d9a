"""What other services install to hand in events: the client, the contract, and the form of a queue's entry.

The lowest room: it imports pydantic, redis and the standard library, and nothing else of the project.
"""
