"""`python -m deploy.local.simulator`: a simulated BETCORE."""

import click

from deploy.local.simulator.app import new_simulator
from deploy.local.simulator.server import new_server
from deploy.local.simulator.settings import (
    DEFAULT_CLIENT_ID,
    DEFAULT_ISSUER,
    DEFAULT_SECRET,
    SimulatorSettings,
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), required=True)
@click.option("--partner-url", required=True, help="Where makes are sent: {URL}/cashback-payments/make.")
@click.option("--client-id", envvar="CASHBACK_CLIENT_ID", default=DEFAULT_CLIENT_ID, show_default=True)
@click.option("--secret", envvar="CASHBACK_CLIENT_SECRET", default=DEFAULT_SECRET)
@click.option("--issuer", default=DEFAULT_ISSUER, show_default=True)
@click.option("--bearer-lifetime-seconds", type=click.FloatRange(min=0), default=3_600.0, show_default=True)
@click.option("--make-lifetime-seconds", type=click.FloatRange(min=0), default=10.0, show_default=True)
@click.option(
    "--make-timeout-seconds", type=click.FloatRange(min=0, min_open=True), default=15.0, show_default=True
)
@click.option("--accept-limit-seconds", type=click.FloatRange(min=0), default=30.0, show_default=True)
@click.option("--log-limit", type=click.IntRange(min=1), default=100_000, show_default=True)
def main(*, host: str, port: int, partner_url: str, **options: str | float) -> None:
    """Run a simulated BETCORE until it is told to stop."""
    settings = SimulatorSettings(partner_url=partner_url.rstrip("/"), **options)  # type: ignore[arg-type]  # click typed them
    new_server(new_simulator(settings), host=host, port=port).run()


if __name__ == "__main__":
    main()
