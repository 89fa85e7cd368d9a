"""The demo's report: its figures from a history, what it takes from the caller, how it shows where it is."""

import fcntl
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from deploy.local.__main__ import main
from deploy.local.demo.drive import Standing
from deploy.local.demo.history import Accept, History, Make, Receipt, Sent
from deploy.local.demo.planning.plan import Expectation, Plan, PlannedMake
from deploy.local.demo.progress import ProgressView
from deploy.local.demo.report import Findings, answer_latencies_ms, build_report, examine, print_report
from deploy.local.demo.run import clear_directory, demo_environment
from deploy.local.errors import DirectoryInUse

# Declined events alone: what they need is a receipt, a make, and an accept.
LATENCIES_MS = {1: 10, 2: 20, 3: 400}
CODE = 102145


def history() -> History:
    return History(
        makes=tuple(
            Make(
                make_id=number,
                token_sha256=f"token {number}",
                cashback_id=number,
                transaction_type=1,
                http_status=200,
                first_sent_at_ms=1_000 * number,
            )
            for number in LATENCIES_MS
        ),
        accepts=tuple(accept(number, latency_ms) for number, latency_ms in LATENCIES_MS.items()),
        receipts=tuple(
            Receipt(
                token_sha256=f"token {number}",
                cashback_id=number,
                state="answered",
                code=CODE,
                transaction_id=None,
                unconfirmed=False,
                credit_cutoff_at=datetime(2026, 1, 1, tzinfo=UTC),
            )
            for number in LATENCIES_MS
        ),
        transactions=(),
        accounts=(),
        entries=(),
    )


def accept(number: int, latency_ms: int, *, acknowledged: bool = True) -> Accept:
    return Accept(
        accept_id=number,
        cashback_id=number,
        transaction_type=1,
        error_code=CODE,
        user_id=None,
        partner_transaction_id=None,
        amount=None,
        tax_amount=None,
        received_at_ms=1_000 * number + latency_ms - 1,
        answered_at_ms=1_000 * number + latency_ms,
        in_time=True,
        late=False,
        acknowledged=acknowledged,
        delivered=True,
    )


def plan() -> Plan:
    return Plan(
        (),
        tuple(
            PlannedMake(
                number=number,
                kind="unknown user",
                order={"cashback_id": number},
                expected=Expectation(code=CODE),
                place=0,
                ordinary=number != 3,
            )
            for number in LATENCIES_MS
        ),
        seed=9,
    )


def sent() -> dict[int, Sent]:
    return {n: Sent(make_id=n, token_sha256=f"token {n}", http_status=200) for n in LATENCIES_MS}


def report_of(findings: Findings) -> dict[str, object]:
    return build_report(
        plan=plan(),
        sent=sent(),
        history=history(),
        findings=findings,
        hops_ms={"door": 1.5, "ledger": 0.5},
        seconds=1.26,
        versions={"python": "3"},
    )


def test_a_latency_runs_from_the_first_sending_to_the_first_acknowledgement() -> None:
    refused_first = accept(1, 3, acknowledged=False)
    again = accept(1, 900)
    known = history()

    latencies_ms = answer_latencies_ms(
        History(
            makes=known.makes,
            accepts=(refused_first, *known.accepts, again),
            receipts=known.receipts,
            transactions=(),
            accounts=(),
            entries=(),
        )
    )

    assert latencies_ms == {"token 1": 10, "token 2": 20, "token 3": 400}


def test_the_report_counts_what_the_history_holds() -> None:
    findings = examine(plan(), sent(), history())

    report = report_of(findings)

    assert findings.lines() == []
    counted = {name: report[name] for name in ("makes", "received", "answered_in_time", "attempts")}
    assert set(counted.values()) == {3}
    assert report["latency_ms"] == {"p50": 20, "p99": 400}
    assert report["ordinary_latency_ms"] == {"p50": 10, "p99": 20}
    assert (report["hops_sum_ms"], report["p50_over_hops"]) == (2.0, 5.0)
    assert (report["seconds"], report["seed"], report["lost"]) == (1.3, 9, 0)


def test_findings_become_figures_of_the_report_and_lines_of_the_table() -> None:
    clean = examine(plan(), sent(), history()).by_invariant
    findings = Findings(by_invariant={**clean, "no event is lost": ["CashbackId 7 is gone"]})
    report = report_of(findings)
    shown = io.StringIO()

    print_report(Console(file=shown, width=100), report, findings, path="var/demo/report.json")

    assert report["lost"] == 1
    assert report["broken"] == ["no event is lost: CashbackId 7 is gone"]
    assert "no event is lost: CashbackId 7 is gone\n" in shown.getvalue()
    assert "1 broken" in shown.getvalue()


def test_without_a_terminal_the_progress_is_plain_lines_and_ends_with_the_last_standing() -> None:
    shown = io.StringIO()
    now = iter([0.0, 0.0, 0.0, 1.0, 6.0, 6.0])

    with ProgressView(Console(file=shown), total=300, monotonic=lambda: next(now)) as view:
        view.show(Standing(sent=1, received=1, ended=0))
        view.show(Standing(sent=2, received=2, ended=1))
        view.show(Standing(sent=300, received=260, ended=260))

    assert shown.getvalue().splitlines() == [
        "1 of 300 makes sent, 0 of 1 received events ended",
        "300 of 300 makes sent, 260 of 260 received events ended",
        "300 of 300 makes sent, 260 of 260 received events ended",
    ]


def test_on_a_terminal_the_progress_is_a_bar() -> None:
    shown = io.StringIO()

    with ProgressView(Console(file=shown, force_terminal=True, width=100), total=300) as view:
        view.show(Standing(sent=300, received=260, ended=13))

    assert "300/300" in shown.getvalue()
    assert "13/260" in shown.getvalue()


def test_the_demo_takes_nothing_but_the_two_times_from_the_callers_settings() -> None:
    environ = demo_environment(
        {
            "HOME": "/home/somebody",
            "CASHBACK_DATABASE_URL": "postgresql://somebody/production",
            "CASHBACK_REDIS_URL": "redis://somebody",
            "CASHBACK_BEARER_TOKEN": "a real one",
            "CASHBACK_TAX": "withhold",
            "CASHBACK_DEADLINE_SECONDS": "6",
            "CASHBACK_ANSWER_RESERVE_SECONDS": "2",
        }
    )

    assert environ["HOME"] == "/home/somebody"
    assert environ["CASHBACK_DEADLINE_SECONDS"] == "6"
    assert environ["CASHBACK_ANSWER_RESERVE_SECONDS"] == "2"
    foreign = {"CASHBACK_DATABASE_URL", "CASHBACK_REDIS_URL", "CASHBACK_BEARER_TOKEN", "CASHBACK_TAX"}
    assert not foreign & environ.keys()


def test_what_the_last_demo_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "base").mkdir(parents=True)
    (tmp_path / "report.json").write_text("{}", "utf-8")
    (tmp_path / "notes.txt").write_text("mine", "utf-8")

    clear_directory(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "stack.lock"]


def test_the_data_of_a_demo_that_runs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with (tmp_path / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(DirectoryInUse):
            clear_directory(tmp_path)

    assert (tmp_path / "postgres").exists()


@pytest.mark.parametrize(
    ("deadline", "complaint"),
    [("soon", "is not a number"), ("nan", "at least 6"), ("5.9", "at least 6"), ("-1", "at least 6")],
)
def test_a_deadline_that_cannot_be_used_ends_the_demo_in_one_sentence(
    tmp_path: Path, deadline: str, complaint: str
) -> None:
    arguments = ["demo", "--directory", str(tmp_path / "demo")]

    result = CliRunner().invoke(main, arguments, env={"CASHBACK_DEADLINE_SECONDS": deadline})

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: CASHBACK_DEADLINE_SECONDS ")
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "demo").exists()
