"""The simulator and the service have BETCORE's paths each from its pages, and agree."""

from deploy.local.simulator.protocol import paths
from producer.app import MAKE_PATH
from producer.protocol.keys import JWKS_PATH
from producer.protocol.verify_endpoint import VERIFY_PATH
from worker.betcore.accept import ACCEPT_PATH
from worker.betcore.token_endpoint import TOKEN_PATH


def test_the_simulator_listens_where_the_service_calls() -> None:
    called = (TOKEN_PATH, JWKS_PATH, VERIFY_PATH, ACCEPT_PATH)

    assert called == (paths.TOKEN_PATH, paths.JWKS_PATH, paths.VERIFY_PATH, paths.ACCEPT_PATH)


def test_the_simulator_calls_where_the_service_listens() -> None:
    assert paths.MAKE_PATH == MAKE_PATH
