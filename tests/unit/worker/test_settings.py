"""Wrong settings stop the worker at start, with a sentence that names the variable."""

import pytest

from producer.shared.settings.environment import SettingsError, load
from worker.runtime import _ledger_policy
from worker.settings import WorkerSettings

GOOD = {
    "REDIS_URL": "redis://localhost/0",
    "DATABASE_URL": "postgresql://localhost/cashback",
    "BETCORE_URL": "https://betcore.test",
    "TOKEN_CLIENT_ID": "PartnerClient-1556",
    "CLIENT_ID": "7",
    "CLIENT_SECRET": "s",
}


def loaded(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> WorkerSettings:
    for name, value in (GOOD | changes).items():
        if value is None:
            monkeypatch.delenv(f"CASHBACK_{name}", raising=False)
        else:
            monkeypatch.setenv(f"CASHBACK_{name}", value)
    return load(WorkerSettings)


def test_the_defaults_are_those_of_the_design(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch)

    assert (settings.deadline_seconds, settings.credit_cutoff_seconds) == (30, 25)
    assert (settings.backoff_base_seconds, settings.backoff_cap_seconds) == (0.5, 5)
    assert settings.cancel_types == {-1, -2}
    assert (settings.tax, settings.negative_balance, settings.cancel_blocked) == ("record", "allow", "allow")


def test_what_the_operator_decides_about_the_books_reaches_the_ledger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {"TAX": "withhold", "NEGATIVE_BALANCE": "refuse", "CANCEL_BLOCKED": "refuse"}

    by_default, otherwise = _ledger_policy(loaded(monkeypatch)), _ledger_policy(loaded(monkeypatch, **asked))

    assert (by_default.withhold_tax, by_default.allow_negative, by_default.cancel_blocked) == (
        False,
        True,
        True,
    )
    assert (otherwise.withhold_tax, otherwise.allow_negative, otherwise.cancel_blocked) == (
        True,
        False,
        False,
    )


def test_cancel_types_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, CANCEL_TYPES="-1, 5,").cancel_types == {-1, 5}


def test_a_static_token_does_instead_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, CLIENT_ID=None, CLIENT_SECRET=None, BEARER_TOKEN="abc")

    assert settings.bearer_token is not None
    assert settings.bearer_token.get_secret_value() == "abc"


@pytest.mark.parametrize("bearer", ["a b", "tökén", "line\nbreak"])
def test_a_static_token_that_fits_no_header_stops_the_worker(
    monkeypatch: pytest.MonkeyPatch, bearer: str
) -> None:
    with pytest.raises(SettingsError, match="CASHBACK_BEARER_TOKEN"):
        loaded(monkeypatch, BEARER_TOKEN=bearer)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, CLIENT_SECRET="hidden-1", BEARER_TOKEN="hidden-2")

    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "variables"),
    [
        ({"REDIS_URL": None}, ["CASHBACK_REDIS_URL"]),
        ({"DATABASE_URL": "mysql://x"}, ["CASHBACK_DATABASE_URL"]),
        ({"CLIENT_SECRET": None}, ["CASHBACK_CLIENT_SECRET", "CASHBACK_BEARER_TOKEN"]),
        ({"CANCEL_TYPES": "1,-1"}, ["CASHBACK_CANCEL_TYPES"]),
        ({"CANCEL_TYPES": "x"}, ["CASHBACK_CANCEL_TYPES"]),
        ({"TAX": "keep"}, ["CASHBACK_TAX"]),
        ({"CONCURRENCY": "0"}, ["CASHBACK_CONCURRENCY"]),
        ({"ACCEPT_TIMEOUT_SECONDS": "nan"}, ["CASHBACK_ACCEPT_TIMEOUT_SECONDS"]),
        ({"BACKOFF_BASE_SECONDS": "6"}, ["CASHBACK_BACKOFF_BASE_SECONDS", "CASHBACK_BACKOFF_CAP_SECONDS"]),
        ({"ANSWER_RESERVE_SECONDS": "30"}, ["CASHBACK_ANSWER_RESERVE_SECONDS", "CASHBACK_DEADLINE_SECONDS"]),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], variables: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(monkeypatch, **changes)

    assert all(variable in str(caught.value) for variable in variables)
    assert "\n" not in str(caught.value)
