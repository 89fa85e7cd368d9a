"""What a process sets of itself, in a process of its own."""

import subprocess
import sys

import pytest

SAY = (
    "import resource, sys\n"
    "soft, hard = map(int, sys.argv[1:3])\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))\n"
    "from producer.shared.process import connections_allowed\n"
    "connections = connections_allowed(int(sys.argv[3]), database_connections=10)\n"
    "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], connections)\n"
)


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "files", "allowed"),
    [
        (256, 2_048, 1_000, 1_138, 1_000),
        (1_024, 2_048, 100, 1_024, 100),
        (256, 1_024, 1_000, 1_024, 886),
        (64, 100, 1_000, 100, 1),
    ],
    ids=["raised", "enough", "the system's own limit", "next to none"],
)
def test_as_many_files_may_be_open_as_connections_need(
    soft: int, hard: int, connections: int, files: int, allowed: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAY, *map(str, (soft, hard, connections))],
        capture_output=True,
        text=True,
        check=True,
    )

    *told, last = done.stdout.splitlines()
    assert last == f"{files} {allowed}"
    assert any("open_files_few" in line for line in told) == (allowed < connections)
