"""What helps to find one's way about the command: help by sections, examples, the version, the Tab key.

Imports click alone, and when it runs what it says something of.
"""
