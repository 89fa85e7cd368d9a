"""`make image-digests`: pin the images that we build on and run beside, by digest.

A tag is moved by whoever owns it; a digest is the image's own SHA-256. Each image of deploy/Dockerfile and
docker-compose.yml is looked up by its tag, through the registry's HTTP API (OCI distribution 1.1, and
Docker's token for anonymous readers), and `@sha256:...` is written behind the tag, which says what was meant.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = (ROOT / "deploy" / "Dockerfile", ROOT / "docker-compose.yml")
INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""Lists of manifests, one for each kind of machine: the digest of one manifest would pin one kind only."""
_TIMEOUT_SECONDS: Final = 30.0
_MAX_BYTES: Final = 4_194_304
_IMAGE: Final = re.compile(
    r"^(?P<before>FROM |\s+image: )(?P<name>[a-z0-9][\w./-]*(?::\d+/[\w./-]+)?):(?P<tag>[\w.-]+)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?(?=\s|$)",
    re.MULTILINE,
)


class DigestUnknown(Exception):
    """The digest of an image could not be had."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image as a file names it."""

    name: str
    tag: str
    digest: str | None

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"

    def repository_at(self, default_registry: str) -> tuple[str, str]:
        """Return the URL of the registry and the repository in it, by Docker's rules for short names."""
        first, slash, rest = self.name.partition("/")
        if slash and ("." in first or ":" in first):
            return f"https://{first}", rest
        return default_registry, self.name if slash else f"library/{self.name}"


def images_of(text: str) -> list[Image]:
    """Return the images that a Dockerfile or a compose file takes from a registry, in its order."""
    return [
        Image(name=found["name"], tag=found["tag"], digest=found["digest"]) for found in _IMAGE.finditer(text)
    ]


def with_digests(text: str, digests: Mapping[str, str]) -> str:
    """Return the text with these digests, each by its `name:tag`."""

    def pinned(found: re.Match[str]) -> str:
        image = f"{found['name']}:{found['tag']}"
        return f"{found['before']}{image}@{digests[image]}"

    return _IMAGE.sub(pinned, text)


def digest_of(client: httpx.Client, image: Image, *, default_registry: str) -> str:
    """Ask an image's registry for the digest of its tag; raises DigestUnknown."""
    registry, repository = image.repository_at(default_registry)
    url = f"{registry}/v2/{repository}/manifests/{image.tag}"
    try:
        reply = _get(client, url, {"Accept": ", ".join(INDEX_TYPES)})
        if reply.status_code == HTTPStatus.UNAUTHORIZED:
            token = _anonymous_token(client, reply.headers.get("WWW-Authenticate", ""))
            reply = _get(client, url, {"Accept": ", ".join(INDEX_TYPES), "Authorization": f"Bearer {token}"})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DigestUnknown(
            f"{image}: {registry} cannot be asked, run this where it is reached: "
            f"{type(error).__name__}: {error}"
        ) from None
    if reply.status_code != HTTPStatus.OK:
        raise DigestUnknown(f"{image}: {url} answers {reply.status_code}, check name and tag")
    if (kind := reply.headers.get("Content-Type", "").partition(";")[0].strip()) not in INDEX_TYPES:
        raise DigestUnknown(f"{image}: {url} answers {kind}, an image for one kind of machine only")
    digest = f"sha256:{hashlib.sha256(reply.content).hexdigest()}"
    if reply.headers.get("Docker-Content-Digest", digest) != digest:
        raise DigestUnknown(
            f"{image}: what {url} sent is not what its digest says, it was changed on the way"
        )
    return digest


def _get(client: httpx.Client, url: str, headers: Mapping[str, str]) -> httpx.Response:
    with client.stream("GET", url, headers=headers) as reply:
        body = b""
        for chunk in reply.iter_bytes():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise DigestUnknown(f"{url} sends more than {_MAX_BYTES} bytes, which is no manifest")
        return httpx.Response(reply.status_code, headers=_plain(reply.headers), content=body)


def _plain(headers: httpx.Headers) -> httpx.Headers:
    # The body is decoded by now, and would be once more.
    return httpx.Headers([pair for pair in headers.items() if pair[0] != "content-encoding"])


def _anonymous_token(client: httpx.Client, challenge: str) -> str:
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if not challenge.lower().startswith("bearer ") or "realm" not in asked:
        raise DigestUnknown(f"the registry wants a login that nobody has here: {challenge!r}")
    parameters = {name: asked[name] for name in ("service", "scope") if name in asked}
    reply = _get(client, str(httpx.URL(asked["realm"], params=parameters)), {})
    try:
        said = httpx.Response(reply.status_code, content=reply.content).json()
        return str(said.get("token") or said["access_token"])
    except (ValueError, KeyError, AttributeError):
        raise DigestUnknown(f"{asked['realm']} answers {reply.status_code} and gives no token") from None


def pin(files: tuple[Path, ...], *, default_registry: str) -> list[str]:
    """Write the digests into the files, all or none; return a line for each image. Raises DigestUnknown."""
    texts = {path: path.read_text("utf-8") for path in files}
    images = {str(image): image for text in texts.values() for image in images_of(text)}
    with httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True, max_redirects=3) as client:
        digests = {
            name: digest_of(client, image, default_registry=default_registry)
            for name, image in images.items()
        }
    for path, text in texts.items():
        path.write_text(with_digests(text, digests), "utf-8")
    return [
        f"{name} {digests[name]}{'' if image.digest != digests[name] else ', as before'}"
        for name, image in images.items()
    ]


def main() -> None:
    """Pin the images, or say what is in the way and end with 1, with the files as they were."""
    parser = argparse.ArgumentParser(prog="image-digests")
    parser.add_argument("--registry", required=True, help="URL of the registry that short names mean")
    try:
        for line in pin(FILES, default_registry=parser.parse_args().registry.rstrip("/")):
            sys.stdout.write(f"{line}\n")
    except DigestUnknown as error:
        sys.stderr.write(f"image-digests: nothing was changed. {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
