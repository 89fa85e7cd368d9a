"""Lines that take their time: hosts that are far away, on kernels that have no netem."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from deploy.local.errors import ProcessDied
from deploy.local.processes import ManagedProcess, running, wait_until
from tests.faults.hosts.network import BRIDGE, PREFIX, Network, run

_LINES: Final = "lines"
_NAMESPACE: Final = PREFIX + _LINES
_FRAMES: Final = Path(__file__).with_name("frames.py")
_READY_SECONDS: Final = 60.0


@contextmanager
def delayed(
    network: Network, delays_ms: Mapping[str, tuple[float, float]], *, log_path: Path
) -> Iterator[None]:
    """Let each frame to or from these hosts take so many milliseconds, at random between the two.

    The order of what goes one way stays. Connections that exist go on.
    """
    with ExitStack() as stack:
        run("ip", "netns", "add", _NAMESPACE)
        stack.callback(run, "ip", "netns", "del", _NAMESPACE)
        lines = []
        for host, (least, most) in delays_ms.items():
            near, far = _between(stack, network, host)
            lines.append(f"{near}:{far}:{least}:{most}")
        relay = ManagedProcess(
            name=_LINES,
            argv=network.inside(_LINES, sys.executable, "-I", "-S", str(_FRAMES), *lines),
            log_path=log_path,
        )
        stack.enter_context(running(relay))
        wait_until(
            lambda: "passing" in relay.log_tail(),
            what="the lines pass frames on",
            timeout_seconds=_READY_SECONDS,
            process=relay,
        )
        yield
        if not relay.is_running:
            raise ProcessDied(f"the lines passed nothing on any more:\n{relay.log_tail()}")


def _between(stack: ExitStack, network: Network, host: str) -> tuple[str, str]:
    """Put a cable of ours between a host's and the bridge; return the ends that are to be joined."""
    port = network.port(host)
    inner, outer = port.replace("-p", "-i"), port.replace("-p", "-o")
    run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", _NAMESPACE)
    stack.callback(run, "ip", "link", "del", outer)
    run("ip", "link", "set", port, "nomaster")
    run("ip", "link", "set", port, "netns", _NAMESPACE)
    stack.callback(_give_back, port)
    run("ip", "-n", _NAMESPACE, "link", "set", port, "up")
    run("ip", "-n", _NAMESPACE, "link", "set", inner, "up")
    run("ip", "link", "set", outer, "master", BRIDGE, "up")
    return port, inner


def _give_back(port: str) -> None:
    run("ip", "-n", _NAMESPACE, "link", "set", port, "netns", str(os.getpid()))
    run("ip", "link", "set", port, "master", BRIDGE, "up")
