"""Inputs that are kept as files: those that found something once, and those that find something now."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.fuzz.target import Target

CASES: Final = Path(__file__).parent / "cases"
"""A folder for each target; each file in it is a case that has to hold for ever."""


def cases_of(target: Target) -> list[Path]:
    """Return the kept inputs of a target."""
    return sorted(path for path in (CASES / target.name).glob("*") if path.is_file())


def keep(directory: Path, target: Target, data: bytes) -> Path:
    """Keep an input that a target failed on; return its file."""
    path = directory / "found" / target.name / sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def corpus(directory: Path, target: Target) -> Path:
    """Write seeds and kept inputs of a target into a folder, as atheris reads them."""
    folder = directory / "seeds" / target.name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate((*target.seeds, *(path.read_bytes() for path in cases_of(target)))):
        (folder / f"{number:03}").write_bytes(seed)
    return folder


def dictionary(directory: Path, target: Target) -> Path:
    """Write the words of a target as libFuzzer reads them."""
    path = directory / "words" / target.name
    path.parent.mkdir(parents=True, exist_ok=True)
    words = {*target.words, *(f'"{name}":'.encode() for name in target.names)} - {b""}
    lines = [
        '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in sorted(words) if len(word) <= 64
    ]
    path.write_text("\n".join(lines) + "\n", "ascii")
    return path
