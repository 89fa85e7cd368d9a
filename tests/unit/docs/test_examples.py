"""The examples of the contract: short, complete, and asking for nothing that the paper does not name."""

import re
from pathlib import Path

import pytest

from deploy.local.environment import ROOT
from tests.support.contract_files import CONTRACT
from tests.support.partner_examples import BY_HTTP, BY_REDIS, PAPER

FILES = sorted((CONTRACT / "examples").iterdir())
# How each language reads its environment: ${NAME}, getenv('NAME'), and `const { NAME, OTHER } = process.env`.
READS = re.compile(r"\$\{?([A-Z][A-Z_]+)\b|getenv\('([A-Z_]+)'\)")
TAKES_APART = re.compile(r"\{(.*)\} = process\.env")
NODE = ROOT / "tests" / "partners"

each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def test_each_is_run_against_the_real_service() -> None:
    assert [path.name for path in FILES] == sorted(example.name for example in (*BY_REDIS, BY_HTTP))


@each
def test_it_fits_on_half_a_screen(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < 40


@each
def test_the_paper_shows_it_and_names_each_variable_that_it_reads(path: Path) -> None:
    text, paper = path.read_text("utf-8"), PAPER.read_text("utf-8")
    reads = {name for names in READS.findall(text) for name in names if name} - {"BASH_REMATCH"}
    reads |= {name for names in TAKES_APART.findall(text) for name in re.findall(r"[A-Z_]{2,}", names)}

    assert f"(contract/examples/{path.name})" in paper
    assert reads
    assert [name for name in sorted(reads) if f"`{name}`" not in paper] == []


def test_what_npm_is_to_install_names_no_host() -> None:
    assert [path.name for path in NODE.glob("package*.json") if "http" in path.read_text("utf-8")] == []
