"""The fault suite on hosts of their own: network namespaces on one bridge, with silent cuts between them.

Load, evidence, checks and report are the fault suite's. Here is what only hosts have: addresses that move,
partitions that drop packets, standbys and sentinels.
"""
