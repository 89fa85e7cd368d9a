"""All that a running stack writes where others read it, as text, and which secrets stand in it."""

import base64
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
import psutil  # type: ignore[import-untyped]  # ships no type information
import psycopg
import redis
from psycopg import sql

from deploy.local.stack import Stack

Written = dict[str, str]
"""What was written, by its place."""


def leaks(secrets: Mapping[str, str], written: Mapping[str, str]) -> list[str]:
    """Return which secret stands where: as it is, or in a form that URLs, headers and JSON have."""
    return sorted(
        f"{name} in {place}"
        for place, text in written.items()
        for name, secret in secrets.items()
        if any(form in text for form in _forms(secret))
    )


def parts_of(tokens: Iterable[str]) -> dict[str, str]:
    """Return what is secret of make tokens: each part of them that is no shared header."""
    parts = {part for token in tokens for part in token.split(".")[1:] if len(part) > 40}
    return {f"part {number} of make tokens": part for number, part in enumerate(sorted(parts))}


def logs(stack: Stack) -> Written:
    """Return the log of each process."""
    return {
        f"log of {path.stem}": path.read_text("utf-8", "replace")
        for path in stack.log_directory.glob("*.log")
    }


def redis_values(redis_url: str) -> Written:
    """Return all that Redis has, the names of keys too."""
    with redis.Redis.from_url(redis_url) as client:
        return {f"Redis, {key!r}": f"{key!r}\n{_value(client, key)}" for key in client.scan_iter()}


def database_rows(database_url: str) -> Written:
    """Return the rows of all tables as text, partitions apart; large objects and statistics are not there."""
    with psycopg.connect(database_url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {f"table {name}": _rows(connection, name) for (name,) in names}


def metrics(stack: Stack, worker_port: int) -> Written:
    """Return what Prometheus reads."""
    urls = {
        "web": f"{stack.receiver_url}/metrics",
        "worker.1": f"http://127.0.0.1:{worker_port}/metrics",
        "flower": f"{stack.flower_url}/metrics",
    }
    return {f"metrics of {name}": httpx.get(url).raise_for_status().text for name, url in urls.items()}


def flower_pages(stack: Stack) -> Written:
    """Return what Flower says of tasks and workers."""
    user, _, password = stack.flower_login.partition(":")
    with httpx.Client(base_url=stack.flower_url, auth=(user, password), timeout=120) as flower:
        tasks = flower.get("/api/tasks?limit=1000000").raise_for_status()
        workers = flower.get("/api/workers?refresh=1").raise_for_status()
        paths = [f"/task/{name}" for name in tasks.json()]
        paths += [f"/api/task/info/{name}" for name in tasks.json()]
        paths += [f"/worker/{name}" for name in workers.json()]
        pages = {path: flower.get(path).raise_for_status().text for path in (*paths, "/broker", "/workers")}
    pages |= {"/api/tasks": tasks.text, "/api/workers": workers.text}
    return {f"Flower, {path}": text for path, text in pages.items()}


def command_lines() -> Written:
    """Return how all processes were started that descend from this one."""
    started = {}
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            started[f"command line of {process.pid}"] = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            # It has just ended.
            continue
    return started


@contextmanager
def task_events(redis_url: str) -> Iterator[Written]:
    """Hear what workers tell of their tasks, as it comes through Redis, for as long as the block lasts."""
    heard: Written = {}

    def hear(message: Mapping[str, Any]) -> None:
        event = message["data"]
        body = base64.b64decode(json.loads(event)["body"])
        heard[f"task event {len(heard)}"] = f"{event!r}\n{body.decode()}"

    with redis.Redis.from_url(redis_url) as client, client.pubsub() as channel:
        channel.psubscribe(**{"/*.celeryev/*": hear})
        listener = channel.run_in_thread(sleep_time=0.05, daemon=True, exception_handler=_try_again)
        try:
            yield heard
        finally:
            listener.stop()
            listener.join()


def _try_again(_error: BaseException, _channel: object, _thread: object) -> None:
    """Redis is away for a moment: the next look connects anew."""


def _forms(secret: str) -> set[str]:
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], encoded}


def _value(client: Any, key: bytes) -> str:  # noqa: ANN401 - redis-py's client
    readers: dict[bytes, Callable[[], object]] = {
        b"string": lambda: client.get(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"hash": lambda: client.hgetall(key),
        b"none": lambda: "(gone)",
    }
    return repr(readers[client.type(key)]())


def _rows(connection: psycopg.Connection, table: str) -> str:
    rows = connection.execute(sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(table))).fetchall()
    return "\n".join(text for (text,) in rows)
