"""`make image-digests` against a registry of our own: all digests are written or none."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.local.ports import LOCALHOST, free_port
from deploy.supply.image_digests import FILES, INDEX_TYPES, DigestUnknown, images_of, pin

DOCKERFILE = "FROM python:3.13-slim-trixie AS python\nFROM python AS wheel\nCOPY --from=wheel /a /b\n"
COMPOSE = "x:\n  image: ours:${TAG:-local}\nservices:\n  db:\n    image: valkey/valkey:9-trixie\n"
PYTHON, VALKEY = b'{"manifests": ["python"]}', b'{"manifests": ["valkey"]}'
TOKEN = "anonymous-1"


class Registry(ThreadingHTTPServer):
    """A registry that gives its manifests to who brings its token."""

    def __init__(self) -> None:
        super().__init__((LOCALHOST, 0), _Handler)
        self.url = f"http://{LOCALHOST}:{self.server_port}"
        self.manifests = {
            "/v2/library/python/manifests/3.13-slim-trixie": PYTHON,
            "/v2/valkey/valkey/manifests/9-trixie": VALKEY,
        }
        self.kind = INDEX_TYPES[0]
        self.digest_header: str | None = None
        self.scopes: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """Say nothing."""

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path == "/token":
            self.server.scopes += parse_qs(path.query)["scope"]
            self._reply(200, json.dumps({"token": TOKEN}).encode(), {})
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            scope = f"repository:{path.path.removeprefix('/v2/').partition('/manifests')[0]}:pull"
            challenge = f'Bearer realm="{self.server.url}/token",service="registry",scope="{scope}"'
            self._reply(401, b"{}", {"WWW-Authenticate": challenge})
        elif (body := self.server.manifests.get(path.path)) is None:
            self._reply(404, b"{}", {})
        else:
            digest = self.server.digest_header or sha256(body)
            self._reply(200, body, {"Content-Type": self.server.kind, "Docker-Content-Digest": digest})

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def sha256(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    thread = Thread(target=registry.serve_forever)
    thread.start()
    try:
        yield registry
    finally:
        registry.shutdown()
        registry.server_close()
        thread.join()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving(Registry()) as started:
        yield started


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, ...]:
    paths = (tmp_path / "Dockerfile", tmp_path / "compose.yml")
    for path, text in zip(paths, (DOCKERFILE, COMPOSE), strict=True):
        path.write_text(text, "utf-8")
    return paths


def assert_untouched(files: tuple[Path, ...]) -> None:
    assert [path.read_text("utf-8") for path in files] == [DOCKERFILE, COMPOSE]


def test_each_image_gets_the_digest_of_its_tag_and_nothing_else_changes(
    registry: Registry, files: tuple[Path, ...]
) -> None:
    lines = pin(files, default_registry=registry.url)

    assert files[0].read_text("utf-8") == DOCKERFILE.replace("trixie", f"trixie@{sha256(PYTHON)}")
    assert files[1].read_text("utf-8") == COMPOSE.replace("trixie", f"trixie@{sha256(VALKEY)}")
    assert lines == [
        f"python:3.13-slim-trixie {sha256(PYTHON)}",
        f"valkey/valkey:9-trixie {sha256(VALKEY)}",
    ]
    assert registry.scopes == ["repository:library/python:pull", "repository:valkey/valkey:pull"]


def test_a_tag_that_moved_gets_its_new_digest(registry: Registry, files: tuple[Path, ...]) -> None:
    pin(files, default_registry=registry.url)
    registry.manifests["/v2/valkey/valkey/manifests/9-trixie"] = b"{}"

    lines = pin(files, default_registry=registry.url)

    assert files[1].read_text("utf-8") == COMPOSE.replace("trixie", f"trixie@{sha256(b'{}')}")
    assert [line.endswith(", as before") for line in lines] == [True, False]


def test_one_image_that_is_not_there_leaves_all_as_it_was(
    registry: Registry, files: tuple[Path, ...]
) -> None:
    del registry.manifests["/v2/valkey/valkey/manifests/9-trixie"]

    with pytest.raises(DigestUnknown, match=r"valkey/valkey:9-trixie: .* answers 404"):
        pin(files, default_registry=registry.url)

    assert_untouched(files)


def test_what_was_changed_on_the_way_is_refused(registry: Registry, files: tuple[Path, ...]) -> None:
    registry.digest_header = sha256(b"what it was")

    with pytest.raises(DigestUnknown, match="it was changed"):
        pin(files, default_registry=registry.url)

    assert_untouched(files)


def test_an_image_for_one_kind_of_machine_is_refused(registry: Registry, files: tuple[Path, ...]) -> None:
    registry.kind = "application/vnd.oci.image.manifest.v1+json"

    with pytest.raises(DigestUnknown, match="one kind of machine only"):
        pin(files, default_registry=registry.url)

    assert_untouched(files)


def test_a_registry_that_cannot_be_reached_is_named(files: tuple[Path, ...]) -> None:
    nowhere = f"http://{LOCALHOST}:{free_port()}"

    with pytest.raises(DigestUnknown, match=f"{nowhere} cannot be asked, run this where it is reached"):
        pin(files, default_registry=nowhere)

    assert_untouched(files)


def test_the_images_of_our_files_are_found_and_our_own_is_not_looked_up() -> None:
    found = [str(image) for path in FILES for image in images_of(path.read_text("utf-8"))]

    assert [name.partition(":")[0] for name in found] == ["python", "valkey/valkey", "postgres"]


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("FROM python:3 AS x\n", ("https://default", "library/python")),
        ("FROM team/base:1\n", ("https://default", "team/base")),
        ("FROM images.example/team/base:1\n", ("https://images.example", "team/base")),
        ("FROM images.example:5000/base:1\n", ("https://images.example:5000", "base")),
    ],
)
def test_short_names_mean_the_default_registry(line: str, where: tuple[str, str]) -> None:
    [image] = images_of(line)

    assert image.repository_at("https://default") == where
