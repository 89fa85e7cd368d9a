"""The demo: everything on one machine, 300 makes of every kind, and the invariants checked from outside."""

from deploy.local.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
