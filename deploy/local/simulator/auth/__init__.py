"""Who vouches for what: the keys that sign makes, the tokens they sign, and the bearers of accepts.

Imports the protocol and the errors of the simulator, and `cryptography`.
"""
