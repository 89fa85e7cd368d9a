"""Everything after the queue.

`app` and `runtime` compose the worker and may import every room; nothing imports them. Of the producer, this
package takes `client`, `protocol` and `shared` alone. Decisions 6 and 19.
"""
