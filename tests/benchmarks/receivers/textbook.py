"""The textbook receiver: what the guides of FastAPI, PyJWT and Celery show, put together.

FastAPI's guide advises `def` for an endpoint that calls blocking libraries (it runs in FastAPI's thread
pool); `async def` around the same calls saves the change of threads and blocks the loop meanwhile. Both are
here, at two paths, and the faster one is what is compared. The server's command is the Procfile's (uvloop,
httptools). PyJWKClient keeps the key that it found (`cache_keys`; off by default, faster), Celery's pool of
broker connections is as large as the thread pool, and no result is asked for. It keeps no receipt: what
Redis loses is lost.
"""

import os
import time
from typing import Annotated, Any, Final

import jwt
from celery import Celery
from fastapi import Body, FastAPI, HTTPException
from jwt import PyJWKClient

from producer.app import MAKE_PATH
from producer.protocol.keys import JWKS_PATH
from tests.benchmarks.receivers.names import ASYNC_PATH, QUEUE, TASK

# anyio's own number, which FastAPI leaves as it is.
_THREADS: Final = 40

Token = Annotated[str, Body(max_length=16_384)]


def create_app() -> FastAPI:
    """Build it from the environment of the receiver; connects nothing."""
    environ = os.environ
    key_client = PyJWKClient(environ["CASHBACK_BETCORE_URL"] + JWKS_PATH, cache_keys=True)
    queue = Celery("textbook", broker=environ["CASHBACK_REDIS_URL"], set_as_current=False)
    queue.conf.update(task_default_queue=QUEUE, task_ignore_result=True, broker_pool_limit=_THREADS)
    settle = queue.signature(TASK)
    issuer = environ.get("CASHBACK_TOKEN_ISSUER")
    app = FastAPI()

    def receive(token: str) -> dict[str, Any]:
        received_at_ms = int(time.time() * 1_000)
        try:
            key = key_client.get_signing_key_from_jwt(token)
            claims = jwt.decode(token, key, algorithms=["RS256"], issuer=issuer)
        except jwt.PyJWTError as error:
            raise HTTPException(401, str(error)) from error
        settle.apply_async(kwargs={"data": claims["data"], "received_at_ms": received_at_ms})
        return {"ErrorCode": 200, "Message": "Success"}

    @app.post(MAKE_PATH)  # type: ignore[untyped-decorator]  # FastAPI is not in the environment of `make lint`
    def make(token: Token) -> dict[str, Any]:
        return receive(token)

    @app.post(ASYNC_PATH)  # type: ignore[untyped-decorator]  # same
    async def make_on_the_loop(token: Token) -> dict[str, Any]:
        return receive(token)

    return app
