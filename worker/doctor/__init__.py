"""What an operator's look finds: a verdict on everything that the service needs, and what mends it.

`examination` runs the checks, each in a thread and a time of its own; the others are one topic each. What a
process asks at its start stands in `producer.shared.preconditions` and `worker.queue.preconditions`, and is
asked from there. A look changes nothing. May import every room that stands below the command. Decision 50.
"""
