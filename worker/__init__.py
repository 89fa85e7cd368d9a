"""Everything after the queue: the ledger, the accept answer, and the task that joins them."""
