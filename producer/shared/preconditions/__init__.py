"""What a process needs of Redis and PostgreSQL: one list, for the receiver, the worker and the command.

`redis` and `postgres` say what is asked and what the answers mean; `checks` asks, in bounded time; `watch`
goes on asking, and says what begins and what ends. May import `cashback_client` and the settings.
Decision 29.
"""
