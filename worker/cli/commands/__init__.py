"""A module for each group of commands: its options, its help, and what it calls.

May import every room that its root may. A command imports what it works with when it runs.
"""
