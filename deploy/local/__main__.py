"""`python -m deploy.local`: everything on one machine."""

import click

from deploy.local.demo.command import demo
from deploy.local.stack.env import env
from deploy.local.stack.up import up


@click.group()
def main() -> None:
    """Run the cashback worker and all that it needs on this machine."""


main.add_command(demo)
main.add_command(up)
main.add_command(env)

if __name__ == "__main__":
    main()
