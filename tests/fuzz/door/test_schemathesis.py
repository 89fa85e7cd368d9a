"""The running receiver under requests that schemathesis makes of docs/contract/openapi.json.

In the environment of `make fuzz`, which has schemathesis: `make fuzz` runs it, `make test` does not.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from producer.app import MAKE_PATH
from producer.receiver.paths import EVENTS_PATH
from tests.fuzz.inputs import inputs
from tests.fuzz.target import text_of
from tests.fuzz.targets import TARGETS
from tests.support.betcore import signer
from tests.support.openapi import PAPER, Document
from tests.support.partner_keys import EDGE, KEYS, bearer
from tests.support.receiver import RunningReceiver, receiver_of_a_module

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "100"))
CONFORMANCE: Final = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
DELIBERATE: Final = 503


def signed(data: bytes) -> str:
    """Return a token that BETCORE signed just now, whatever its data are."""
    return signer(1).token(at=time.time(), data=text_of(data))


def signed_claims(payload: bytes) -> str:
    """Return a token with these claims, whatever they are."""
    return signer(1).sign(payload)


TOKENS: Final = st.one_of(
    inputs(TARGETS["data"]).map(signed),
    inputs(TARGETS["claims"]).map(signed_claims),
    inputs(TARGETS["token"]).map(text_of),
)
# It writes what it sends in UTF-8, which has no lone surrogates.
schemathesis.openapi.format("make-token", TOKENS.map(lambda token: token.encode("utf-8", "replace").decode()))
schema = schemathesis.openapi.from_path(PAPER)


@pytest.fixture(scope="module")
def receiver(
    valkey_server: ValkeyServer, postgres_server: PostgresServer, migrated_template: str
) -> Iterator[RunningReceiver]:
    """One receiver for all requests; they are a backlog that nobody works on, and none of it is refused."""
    with receiver_of_a_module(
        valkey_server,
        postgres_server,
        migrated_template,
        shed_wait_seconds=500,
        deadline_seconds=600,
        jwks_unknown_key_seconds=0,
        partner_keys=KEYS,
    ) as running:
        yield running


@schema.parametrize()  # type: ignore[untyped-decorator]  # schemathesis is not installed where types are checked
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
def test_each_answer_is_one_of_the_document_and_no_5xx_but_a_deliberate_one(
    receiver: RunningReceiver, case: Case
) -> None:
    is_partners = case.operation.path.startswith(EVENTS_PATH)
    key = bearer(EDGE) if is_partners else {}

    reply = case.call(base_url=str(receiver.client.base_url), headers=key)

    assert reply.status_code < 500 or reply.status_code == DELIBERATE
    if reply.status_code == DELIBERATE:
        assert "error" in reply.json() if is_partners else reply.json()["ErrorCode"] == 102823
    case.validate_response(reply, checks=CONFORMANCE, excluded_checks=[not_a_server_error])


def test_tokens_with_any_data_and_any_claims_are_answered_as_the_document_says(
    receiver: RunningReceiver,
) -> None:
    document = Document()
    seen: set[int] = set()

    @settings(max_examples=10 * EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(TOKENS)
    def whatever(token: str) -> None:
        reply = receiver.make(json.dumps(token))
        seen.add(reply.status_code)
        assert reply.status_code < 500 or reply.status_code == DELIBERATE
        assert document.faults("POST", MAKE_PATH, reply) == []

    whatever()
    assert seen >= {200, 400, 401}


def test_the_receiver_serves_honest_makes_after_all_that(receiver: RunningReceiver) -> None:
    assert json.loads(receiver.make_event().text)["ErrorCode"] == 200
