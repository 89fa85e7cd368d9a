"""Everything up to the queue: the receiver, and what other partner services import to enqueue."""
