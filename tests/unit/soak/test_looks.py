"""What is looked at: logs read once, files that are rewritten, tables by row, samples that are kept."""

import os
from pathlib import Path

import pytest

from deploy.local.errors import LocalError
from tests.soak.errors import SamplingFailed
from tests.soak.processes import LogLooks, ProcessLooks
from tests.soak.sampler import Sampler, read_samples
from tests.soak.servers import AofCount, table_values


def test_a_log_is_counted_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    looks = LogLooks({"web": path})
    assert looks.values() == {"log.web/bytes": 0, "log.web/lines": 0}

    path.write_text("one\ntwo\nthr")
    assert looks.values() == {"log.web/bytes": 11, "log.web/lines": 2}

    path.write_text("one\ntwo\nthree\n")
    assert looks.values() == {"log.web/bytes": 14, "log.web/lines": 3}


def test_a_process_is_seen_with_its_memory_descriptors_and_threads(tmp_path: Path) -> None:
    looks = ProcessLooks({"own": os.getpid()})
    before = looks.values()

    with (tmp_path / "a").open("w"), (tmp_path / "b").open("w"):
        held = looks.values()

    assert held["own/descriptors"] == before["own/descriptors"] + 2
    assert before["own/threads"] >= 1
    assert 0 < before["own/private_mb"] <= before["own/pss_mb"] <= before["own/rss_mb"]


def test_what_a_rewrite_takes_from_a_file_is_not_counted_back() -> None:
    count = AofCount()

    assert [count.add(size) for size in (100, 150, 30, 50)] == [0, 50, 50, 70]


def test_a_table_is_told_by_row() -> None:
    row = {"name": "entries", "heap_bytes": 800, "index_bytes": 200, "rows": 10, "dead": 5}

    values = table_values(row)

    assert values["table/entries/bytes_per_row"] == 100
    assert values["table/entries/dead_per_row"] == 0.5
    assert "table/entries/bytes_per_row" not in table_values({**row, "rows": 0})


class Counting:
    """Counts its looks, and fails at one of them."""

    def __init__(self, *, fails_at: int = 0) -> None:
        self.looks = 0
        self._fails_at = fails_at

    def values(self) -> dict[str, float]:
        self.looks += 1
        if self.looks == self._fails_at:
            raise LocalError("gone")
        return {"own/looks": self.looks}


def sampler_of(looks: Counting, path: Path) -> Sampler:
    return Sampler([looks], events=lambda: 7, every_seconds=3_600.0, path=path)


def test_a_sampler_looks_to_the_end_and_keeps_what_it_saw(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text("what another run left", "utf-8")

    with sampler_of(Counting(), path) as sampler:
        pass

    sampler.check()
    assert sampler.samples[-1].events == 7
    assert sampler.samples[-1].values == {"own/looks": len(sampler.samples)}
    assert read_samples(path) == sampler.samples


def test_a_look_that_fails_ends_the_sampling_and_is_told(tmp_path: Path) -> None:
    with sampler_of(Counting(fails_at=1), tmp_path / "samples.jsonl") as sampler:
        pass

    with pytest.raises(SamplingFailed, match="a look after 0 good ones: gone"):
        sampler.check()
