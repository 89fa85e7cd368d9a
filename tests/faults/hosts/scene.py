"""What a scenario on hosts is given."""

from tests.faults.hosts.rig import HostRig
from tests.faults.scene import SceneOf

HostScene = SceneOf[HostRig]
"""A scene on hosts: cuts between them, addresses that move, servers that are promoted."""
