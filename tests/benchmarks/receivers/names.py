"""What the textbook receiver and whoever looks at its work must agree on."""

from typing import Final

from producer.app import MAKE_PATH

ASYNC_PATH: Final = f"{MAKE_PATH}/async"
QUEUE: Final = "textbook"
TASK: Final = "textbook.settle"
