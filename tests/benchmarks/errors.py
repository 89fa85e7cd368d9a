"""Errors of the benchmarks: part of the local stack's tree."""

from deploy.local.errors import LocalError


class BenchmarkFailed(LocalError):
    """What was measured did not do its work, so its figures mean nothing."""

    reason = "benchmark_failed"


class PeerMissing(LocalError):
    """The environment of a peer is not installed."""

    reason = "peer_missing"
