"""deploy/Dockerfile: several stages, pinned packages, no root, and only files that are there."""

import fnmatch
import re
from dataclasses import dataclass

import pytest

from deploy.local.environment import ROOT


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction of a Dockerfile and the stage that it stands in."""

    stage: str
    keyword: str
    text: str


@pytest.fixture(scope="module")
def instructions() -> list[Instruction]:
    text = (ROOT / "deploy/Dockerfile").read_text("utf-8").replace("\\\n", " ")
    found: list[Instruction] = []
    stage = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        keyword, rest = line.split(maxsplit=1)
        if keyword == "FROM":
            stage = rest.split()[-1]
        found.append(Instruction(stage=stage, keyword=keyword, text=rest))
    return found


def in_stage(instructions: list[Instruction], stage: str, keyword: str) -> list[str]:
    return [each.text for each in instructions if (each.stage, each.keyword) == (stage, keyword)]


def copied_from_the_tree(instructions: list[Instruction]) -> list[str]:
    copies = [each.text.split() for each in instructions if each.keyword == "COPY"]
    return [source for words in copies if not words[0].startswith("--from") for source in words[:-1]]


def test_the_image_is_built_in_stages_and_the_last_one_installs_nothing(
    instructions: list[Instruction],
) -> None:
    assert [each.stage for each in instructions if each.keyword == "FROM"] == [
        "python",
        "wheel",
        "packages",
        "runtime",
    ]
    assert not [text for text in in_stage(instructions, "runtime", "RUN") if "pip" in text]


def test_the_base_is_named_by_tag_and_wholly_pinned_or_not_at_all(instructions: list[Instruction]) -> None:
    base, *stages = [each.text.split()[0] for each in instructions if each.keyword == "FROM"]

    # `make image-digests` adds the digest.
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)
    assert set(stages) == {"python"}


def test_the_image_does_not_run_as_root(instructions: list[Instruction]) -> None:
    [user] = in_stage(instructions, "runtime", "USER")

    # By number, so that an orchestrator can see that it is not root.
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    last_run = max(number for number, each in enumerate(instructions) if each.keyword == "RUN")
    assert last_run < [each.keyword for each in instructions].index("USER")


def test_whatever_comes_from_an_index_is_pinned_by_hash(instructions: list[Instruction]) -> None:
    installs = [
        command
        for each in instructions
        if each.keyword == "RUN"
        for command in each.text.split("&&")
        if re.search(r"\bpip (install|wheel|download)\b", command)
    ]

    assert len(installs) == 4
    for command in installs:
        assert "--require-hashes" in command or "--no-deps" in command, command
        assert ("--require-hashes" in command) != ("--no-deps" in command), command


def test_every_copied_file_is_there_and_is_sent_to_the_engine(instructions: list[Instruction]) -> None:
    sent = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    ]

    for source in copied_from_the_tree(instructions):
        assert (ROOT / source).exists(), source
        assert any(
            fnmatch.fnmatch(source, pattern) or source.startswith(f"{pattern}/") for pattern in sent
        ), source


def test_neither_tests_nor_local_data_nor_secrets_are_copied(instructions: list[Instruction]) -> None:
    assert set(copied_from_the_tree(instructions)) <= {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements.lock",
        "producer",
        "worker",
        "deploy",
        "deploy/build.lock",
        "deploy/flowerconfig.py",
    }
