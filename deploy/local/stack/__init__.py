"""The stack: all processes together, when they are ready, and the command that keeps them up.

May import the rest of `deploy.local` but the demo.
"""

from deploy.local.stack.options import StackOptions
from deploy.local.stack.stack import LOG_DIRECTORY, Stack

__all__ = ["LOG_DIRECTORY", "Stack", "StackOptions"]
