"""What a demo sends, and what is to come of it: drawn before the first make, and looked at after the last.

Imports the standard library alone.
"""
