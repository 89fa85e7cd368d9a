"""The database's schema: SQL by topic, and how it is applied (decision 18).

Read `tables/` first: what there is, in numbered files that are each applied once. `trigger_functions/` is
what its triggers call, and `functions/` is how everybody else reads and writes it; in these two each function
stands once, as it is today. May import `worker.errors` alone, and what
the producer has for settings and sessions.
"""
