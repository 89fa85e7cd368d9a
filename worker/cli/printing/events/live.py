"""Events as they end, a line each."""

from typing import TYPE_CHECKING, Final

from worker.cli.printing.output import STYLES, as_text, print_line
from worker.cli.queries.events.live import LiveEvent

if TYPE_CHECKING:
    from rich.console import Console

_HEADER: Final = f"{'UTC':12} {'state':11} {'code':6} {'event':36} CashbackId"


def print_header(screen: "Console") -> None:
    """Print what stands in a line."""
    from rich.text import Text

    print_line(Text(_HEADER, style="dim"), screen=screen)


def print_event(event: LiveEvent, screen: "Console") -> None:
    """Print an event on one line, and as much of what else is known of it as there is room for."""
    from rich.text import Text

    state = "unconfirmed" if event.unconfirmed else event.state
    line = Text.assemble(
        f"{as_text(event.moment).partition(' ')[2]:12} ",
        (f"{state:11}", STYLES[state]),
        f" {as_text(event.code):6} {event.event_id} {event.cashback_id}",
    )
    for name, value in (
        ("user", event.user_id),
        ("amount", event.amount),
        ("producer", event.producer),
        ("attempts", event.attempts),
        ("last error", event.last_error),
    ):
        more = Text(f"  {name} {as_text(value)}", style="dim")
        if value is not None and line.cell_len + more.cell_len <= screen.width:
            line.append_text(more)
    print_line(line, screen=screen)
