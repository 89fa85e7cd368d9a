"""What came of a siege: as JSON, as a table, as the part of docs/security.md. Pure but for the printing."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.benchmarks.report import number
from tests.siege.catalogue import LEAST_RATIO, Attack
from tests.siege.run import Besieged, HonestKind

_KB: Final = 1_000
_MB: Final = 1_000_000
LEAST_PER_SECOND: Final = 50.0
_HEADS: Final = (
    "attack",
    "once",
    "answered in 2 s, % (before, under it, after)",
    "ratio",
    "p99 ms (before, under it)",
    "most a second (before, under it, after)",
    "ratio",
    "by CPU",
    "503",
    "RSS MB (before, most, after)",
    "log KB",
    "attacker",
    "",
)


def row_of(attack: Attack, outcome: Mapping[HonestKind, Besieged]) -> dict[str, Any]:
    """Return one attack's part of the report."""
    held = all(each.survived and each.ratio >= LEAST_RATIO for each in outcome.values())
    return {
        "title": attack.title,
        "once": attack.once,
        "judged": attack.is_judged,
        "held": held,
        **{kind: _besieged(each) for kind, each in outcome.items()},
    }


def build_report(
    *, facts: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], failures: Mapping[str, str]
) -> dict[str, Any]:
    """Return the report; it is good where every attack could be laid and all that are judged were held."""
    broken = [name for name, row in rows.items() if row["judged"] and not row["held"]]
    return {
        **facts,
        "least_ratio": LEAST_RATIO,
        "attacks": dict(rows),
        "failures": dict(failures),
        "broken": broken,
        "ok": bool(rows) and not broken and not failures,
    }


def show(console: Console, report: Mapping[str, Any]) -> None:
    """Print the table and the sum of it in a last line."""
    table = Table(*_HEADS)
    for name, row in report["attacks"].items():
        *cells, verdict = cells_of(row)
        table.add_row(name, *cells[1:], Text(verdict, "bold red" if verdict == "BROKEN" else ""))
    console.print(table)
    for name, why in report["failures"].items():
        console.print(Text(f"{name}: {why}", "red"), soft_wrap=True)
    console.print(closing_line(report), soft_wrap=True)


def closing_line(report: Mapping[str, Any]) -> str:
    """Return the sum of it all."""
    judged = [row for row in report["attacks"].values() if row["judged"]]
    least = min((row[kind]["ratio"] for row in judged for kind in ("open", "closed")), default=0.0)
    broken = ", ".join(report["broken"]) or "none"
    return (
        f"siege {'held' if report['ok'] else 'BROKEN'}: {len(report['attacks'])} attacks, "
        f"{len(judged)} judged, least ratio {least:.2f} (at least {LEAST_RATIO:g}), broken: {broken}, "
        f"{len(report['failures'])} could not be laid"
    )


def markdown_of(report: Mapping[str, Any]) -> str:
    """Return the part of the document."""
    machine = report["machine"]
    facts = (
        f"Measured on {machine['cpus']} cores ({machine['processor']}) in one run of "
        f"{report['seconds'] / 60:.0f} min, {report['attack_seconds']:g} s an attack, seed {report['seed']}. "
        f"Load average of the machine before it began: {machine['load_before']:g}."
    )
    lines = [
        facts,
        "",
        "| " + " | ".join(_HEADS) + " |",
        "|---" * len(_HEADS) + "|",
        *("| " + " | ".join(cells_of(row)) + " |" for row in report["attacks"].values()),
    ]
    lines += [f"\nThe attack *{name}* could not be laid: {why}" for name, why in report["failures"].items()]
    return "\n".join(lines)


def cells_of(row: Mapping[str, Any]) -> list[str]:
    """Return one attack as a line of the table."""
    steady, most = row["open"], row["closed"]
    seen = _greatest(steady["seen"], most["seen"])
    return [
        row["title"],
        row["once"],
        _triple(f"{100 * steady['windows'][part]['share']:.0f}" for part in ("before", "attack", "after")),
        f"{steady['ratio']:.2f}",
        _triple(_ms(steady["windows"][part]["p99_ms"]) for part in ("before", "attack")),
        _triple(number(most["windows"][part]["per_second"]) for part in ("before", "attack", "after")),
        f"{most['ratio']:.2f}",
        _share(cpu_ratio_of(most)),
        str(steady["windows"]["attack"]["refused"] + most["windows"]["attack"]["refused"]),
        _triple(f"{seen[name]:.0f}" for name in ("rss_before_mb", "rss_greatest_mb", "rss_after_mb")),
        number(seen["log_bytes"] / _KB),
        _attacker(steady, most, report_seconds(row)),
        verdict_of(row),
    ]


def cpu_ratio_of(besieged: Mapping[str, Any]) -> float | None:
    """Return honest makes for each second of the receiver's processor time, under attack ÷ before.

    What else runs on the machine has little say in it. None where the receiver took no time at all.
    """
    rates = [
        besieged["windows"][part]["per_second"] / besieged["seen"]["cpu"][part]
        for part in ("attack", "before")
        if besieged["seen"]["cpu"].get(part)
    ]
    return rates[0] / rates[1] if len(rates) == 2 and rates[1] else None


def cost_of_request(besieged: Mapping[str, Any]) -> float | None:
    """Return what a request of the attack costs the receiver's processor, as a share of an honest make.

    None where there were too few of them to say.
    """
    attack, before = besieged["windows"]["attack"], besieged["windows"]["before"]
    per_second = besieged["attacker"]["requests"] / attack["seconds"]
    if per_second < LEAST_PER_SECOND or not before["per_second"]:
        return None
    make = besieged["seen"]["cpu"]["before"] / before["per_second"]
    spent = besieged["seen"]["cpu"]["attack"] - attack["per_second"] * make
    return float(spent / per_second / make) if make else None


def verdict_of(row: Mapping[str, Any]) -> str:
    """Return what is to be said of it: an attack without a pace is stated, not judged."""
    if not row["judged"]:
        return "stated"
    return "held" if row["held"] else "BROKEN"


def report_seconds(row: Mapping[str, Any]) -> float:
    """Return how long the attack was."""
    return float(row["open"]["windows"]["attack"]["seconds"])


def _besieged(each: Besieged) -> dict[str, Any]:
    windows = {
        name: {**asdict(window), "per_second": window.per_second, "share": window.share}
        for name, window in each.windows.items()
    }
    return {**asdict(each), "windows": windows, "ratio": round(each.ratio, 3)}


def _greatest(*seen: Mapping[str, Any]) -> dict[str, float]:
    """Return the worse of the two runs, but the first one's beginning and the last one's end."""
    first, last = seen[0], seen[-1]
    return {
        "rss_before_mb": first["rss_before_mb"],
        "rss_greatest_mb": max(each["rss_greatest_mb"] for each in seen),
        "rss_after_mb": last["rss_after_mb"],
        "log_bytes": max(each["log_bytes"] for each in seen),
    }


def _attacker(steady: Mapping[str, Any], most: Mapping[str, Any], seconds: float) -> str:
    """Say what the attacker came to, and what it cost receiver and BETCORE, in a few words."""
    did, asked = steady["attacker"], steady["betcore"]
    parts = []
    if did["requests"]:
        parts.append(f"{number(did['requests'] / seconds)}/s")
        parts.append(f"{number(did['bytes_sent'] / _MB)} MB")
    if did["opened"]:
        parts.append(f"{number(did['opened'])} connections")
    if (cost := cost_of_request(most)) is not None:
        parts.append(f"each costs {cost:.2f} of a make")
    if asked["jwks"] or asked["verify"]:
        parts.append(f"keys asked {asked['jwks']}, Verify {asked['verify']} times")
    return ", ".join(parts)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _triple(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _ms(value: float | None) -> str:
    return "-" if value is None else number(value)
