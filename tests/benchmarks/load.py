"""The load of makes: `python -m tests.benchmarks.load PLAN.json RESULT.json`.

A process of its own, so that what it costs can be shown. *closed* sends the next make on a connection as soon
as the last one is answered; *window* keeps so many makes under way, from their sending to BETCORE's accept;
*open* sends at moments that are fixed beforehand, whatever becomes of the makes before, and is to be judged
from those moments, so that a slow answer cannot hide what waited behind it.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

import uvloop

from tests.benchmarks.line import make_request
from tests.benchmarks.paced import OpenLoad, WindowLoad
from tests.benchmarks.senders import ClosedLoad, Plan

_KINDS: Final = {"closed": ClosedLoad, "window": WindowLoad, "open": OpenLoad}


def main(plan_path: Path, result_path: Path) -> None:
    """Send the plan and write the result."""
    plan = Plan(**json.loads(plan_path.read_text("utf-8")))
    requests = [
        make_request(token, path=plan.path)
        for token in Path(plan.tokens_path).read_text("ascii").splitlines()
    ]
    prepared = time.process_time()
    result = uvloop.run(_KINDS[plan.kind](plan, requests).run())
    result.cpu_seconds = time.process_time() - prepared
    result_path.write_text(json.dumps(asdict(result)), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
