"""Which settings switch a check off: each setting of receiver and worker is told by what it does."""

from typing import Final

import pytest

from producer.shared.settings.checks_off import checks_off
from producer.shared.settings.receiver import ReceiverSettings
from worker.settings import WorkerSettings

SWITCH_A_CHECK_OFF: Final = {
    "betcore_plain_http": ("allow", "allow"),
    "token_client_id": ("any", "any"),
    "verify_fallback": ("true", "true"),
    "redis_url": ("rediss://cache.test/0?ssl_cert_reqs=none", "ssl_cert_reqs=none"),
}
"""Each with a value that does, and what is noted of it."""
ADD_A_CHECK: Final = {
    "token_issuer",
    "token_audience",
    "allowed_networks",
    # Redis and PostgreSQL are verified where their URLs ask for it, which is not without them.
    "redis_ca_file",
    "redis_cert_file",
    "redis_key_file",
    "database_url",
}
SAY_HOW_MUCH: Final = {
    "token_leeway_seconds",
    "token_max_life_seconds",
    "jwks_refresh_seconds",
    "jwks_max_age_seconds",
    "jwks_unknown_key_seconds",
    "jwks_timeout_seconds",
    "deadline_seconds",
    "answer_reserve_seconds",
    "partners",
    "own_weight",
    "copy_timeout_seconds",
    "receiver_database_pool_size",
    "shed_wait_seconds",
    "max_in_flight",
    "max_connections",
    "max_connections_per_address",
    "request_timeout_seconds",
    "failed_verifications_per_second",
    "partner_events_per_second",
    "partner_requests_at_once",
    "partner_events_in_flight",
    "concurrency",
    "accept_timeout_seconds",
    "accepts_in_flight",
    "database_timeout_seconds",
    "broker_timeout_seconds",
    "backoff_base_seconds",
    "backoff_cap_seconds",
    "sweep_interval_seconds",
    "sweep_limit",
    "receipt_retention_days",
    "token_retention_days",
    "snapshot_warning_seconds",
    "quarantine_retention_days",
    "quarantine_rows",
    "shutdown_grace_seconds",
}
SAY_WHERE_AND_WHO: Final = {
    "betcore_url",
    "redis_sentinel_master",
    "redis_sentinel_username",
    "redis_sentinel_password",
    "log_level",
    "trusted_proxies",
    "forwarded_header",
    "partner_keys",
    "partner_keys_file",
    "inner_port",
    "client_id",
    "client_secret",
    "bearer_token",
    "token_id_field",
    "token_secret_field",
    "metrics_port",
}
# What the business wants: neither is wrong.
SAY_WHAT_IS_WANTED: Final = {"cancel_types", "tax", "negative_balance", "cancel_blocked"}

GOOD: Final = {
    "redis_url": "redis://cache.test/0",
    "database_url": "postgresql://db.test/cashback",
    "betcore_url": "https://betcore.test",
    "token_client_id": "PartnerClient-1556",
    "bearer_token": "x",
}


def test_every_setting_is_told_by_what_it_does() -> None:
    kinds = (set(SWITCH_A_CHECK_OFF), ADD_A_CHECK, SAY_HOW_MUCH, SAY_WHERE_AND_WHO, SAY_WHAT_IS_WANTED)

    known = set().union(*kinds)

    assert known == {*ReceiverSettings.model_fields, *WorkerSettings.model_fields}
    assert len(known) == sum(map(len, kinds))


@pytest.mark.parametrize("settings_class", [ReceiverSettings, WorkerSettings])
@pytest.mark.parametrize("setting", SWITCH_A_CHECK_OFF)
def test_a_check_that_is_off_is_named_with_its_setting(
    settings_class: type[ReceiverSettings | WorkerSettings], setting: str
) -> None:
    value, noted = SWITCH_A_CHECK_OFF[setting]

    off = checks_off(settings_class.model_validate(GOOD | {setting: value}))

    assert [(each.variable, each.value) for each in off] == [(f"CASHBACK_{setting.upper()}", noted)]


@pytest.mark.parametrize("settings_class", [ReceiverSettings, WorkerSettings])
def test_without_them_all_checks_are_on(settings_class: type[ReceiverSettings | WorkerSettings]) -> None:
    assert checks_off(settings_class.model_validate(GOOD)) == ()


@pytest.mark.parametrize(
    ("query", "noted"),
    [
        ("", []),
        ("?ssl_cert_reqs=required", []),
        ("?ssl_cert_reqs=optional", ["ssl_cert_reqs=optional"]),
        ("?ssl_check_hostname=false", ["ssl_check_hostname=false"]),
    ],
)
def test_nothing_secret_is_noted_of_redis(query: str, noted: list[str]) -> None:
    url = f"rediss://user:password@cache.test/0{query}"

    off = checks_off(ReceiverSettings.model_validate(GOOD | {"redis_url": url}))

    assert [each.value for each in off] == noted
