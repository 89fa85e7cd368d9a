"""Fixtures of the protocol's tests."""

import pytest

from tests.support.betcore import Endpoints, signer


@pytest.fixture
def betcore() -> Endpoints:
    endpoints = Endpoints()
    endpoints.publish(signer(1))
    return endpoints
