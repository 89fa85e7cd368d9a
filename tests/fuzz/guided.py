"""A target under atheris, which is guided by what an input reaches: `python -m tests.fuzz.guided NAME …`.

atheris ends its process by itself, so each target has one of its own; tests/fuzz/parts.py starts it. What
stands behind NAME are libFuzzer's options.
"""

import sys
from typing import Final

import atheris

# Only what is imported in here is instrumented: the program, and the oracles that it is held against.
with atheris.instrument_imports(include=["cashback_client", "producer", "worker", "deploy", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.quiet import hush

_NAME: Final = 1


def main() -> None:
    """Fuzz one target until libFuzzer's options say that it is enough; ends the process."""
    hush()
    target = TARGETS[sys.argv.pop(_NAME)]
    atheris.Setup(sys.argv, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
