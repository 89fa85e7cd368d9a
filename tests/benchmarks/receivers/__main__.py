"""`python -m tests.benchmarks.receivers APP --port PORT`: another application on the very server of ours."""

import argparse
import sys

from uvicorn.importer import import_from_string

from producer.receiver.http.connections import ConnectionLimits
from producer.server import Server


def main() -> None:
    """Serve what the factory APP ('module:function') returns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("app")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    server = Server(
        import_from_string(arguments.app)(),
        ConnectionLimits(connections=1_000, per_address=1_000, timeout_seconds=5),
    )
    sys.exit(not server.run(port=arguments.port))


if __name__ == "__main__":
    main()
