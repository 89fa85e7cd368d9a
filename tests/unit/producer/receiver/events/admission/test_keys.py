"""Keys of partners: which lines are taken, whose key it is, and a file that changes."""

from hashlib import sha256
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from producer.receiver.events.admission.keys import (
    MAX_FILE_BYTES,
    MAX_KEYS,
    KeysUnreadable,
    Partner,
    PartnerKeys,
    read_keys,
)
from tests.support.partner_keys import key_line

SECRET = "5" * 64


def holder(keys: PartnerKeys, key: str) -> str | None:
    partner = keys.holder_of(f"Bearer {key}".encode())
    return None if partner is None else partner.name


def test_a_key_is_its_producers_whatever_stands_around_it() -> None:
    text = f"""
        # edge: of 2026
        {key_line("edge", "one")}   # until the first of May
        {key_line("edge", "two", "250.5")}

        {key_line("mobile", "three").upper().replace("MOBILE", "mobile")}
    """
    keys = PartnerKeys(text=text)

    assert [holder(keys, key) for key in ("one", "two", "three", "four")] == ["edge", "edge", "mobile", None]
    assert keys.producers == {"edge", "mobile"}
    # The number is the producer's, whichever of its keys comes.
    assert keys.holder_of(b"bearer one") == Partner("edge", 250.5)
    assert keys.holder_of(b"Bearer   three") == Partner("mobile", None)


@pytest.mark.parametrize(
    "header",
    [b"", b"one", b"Bearer", b"Bearer ", b"Basic one", b"Bearer one two", b"Bearer one ", b"Bearer \xff"],
)
def test_what_is_no_bearer_of_a_key_is_nobodys(header: bytes) -> None:
    assert PartnerKeys(text=key_line("edge", "one")).holder_of(header) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (SECRET, "the name is none of a producer's"),
        (f"Edge {SECRET}", "the name is none of a producer's"),
        (f"edge:{SECRET}", "the name is none of a producer's"),
        (f"betcore {SECRET}", "betcore is our own receiver"),
        ("edge", "edge has no SHA-256"),
        (f"edge {SECRET[:-1]}", "edge has no SHA-256"),
        (f"edge {SECRET}5", "edge has no SHA-256"),
        (f"edge {SECRET} fast", "edge has no number of events"),
        (f"edge {SECRET} 10 20", "edge has no number of events"),
        (f"edge {SECRET} -1", "edge has no number of events"),
        (f"edge {SECRET} nan", "edge has no number of events"),
        (f"edge {SECRET} 0", "more than 0"),
        (f"edge {SECRET} 1000000", "more than 0"),
        (f"mobile {sha256(b'one').hexdigest()}", "another producer's, too"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_of_it_is_shown(line: str, why: str) -> None:
    with pytest.raises(KeysUnreadable) as raised:
        read_keys(f"# keys\n{key_line('edge', 'one')}\n{line}")

    assert str(raised.value).startswith("line 3: ")
    assert why in str(raised.value)
    assert SECRET[:16] not in str(raised.value)


def test_a_key_of_whom_no_worker_serves_is_a_wrong_line() -> None:
    text = f"{key_line('edge', 'one')}\n{key_line('mobile', 'two')}"

    assert read_keys(text, partners={"edge", "mobile", "other"}).producers == {"edge", "mobile"}
    with pytest.raises(KeysUnreadable, match="line 2: mobile is not in CASHBACK_PARTNERS"):
        read_keys(text, partners={"edge"})


def test_there_are_not_more_keys_and_producers_than_a_label_may_have() -> None:
    lines = [key_line("edge", str(number)) for number in range(MAX_KEYS)]

    assert len(read_keys("\n".join(lines)).partners) == MAX_KEYS
    with pytest.raises(KeysUnreadable, match="more than 128 keys"):
        read_keys("\n".join([*lines, key_line("edge", "one more")]))
    with pytest.raises(KeysUnreadable, match="32 producers"):
        read_keys("\n".join(key_line(f"p{number}", str(number)) for number in range(33)))


def test_an_empty_file_is_no_list_of_nobody_and_a_comment_is() -> None:
    with pytest.raises(KeysUnreadable, match="nothing in it"):
        read_keys(" \n")
    assert not read_keys("# nobody, since the incident").partners


def test_a_file_that_changes_counts_at_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(key_line("edge", "old"))
    keys = PartnerKeys(path=path)

    with capture_logs() as logs:
        keys.look(path)
        path.write_text(f"{key_line('edge', 'old')}\n{key_line('edge', 'new')}")
        keys.look(path)
        both = [holder(keys, key) for key in ("old", "new")]
        path.write_text(key_line("edge", "new"))
        keys.look(path)
        keys.look(path)

    assert both == ["edge", "edge"]
    assert [holder(keys, key) for key in ("old", "new")] == [None, "edge"]
    assert [line["event"] for line in logs] == ["partner_keys_read"] * 2


@pytest.mark.parametrize(
    "content",
    [b"", b"edge", b"\xff", b"#" * (MAX_FILE_BYTES + 1), None],
    ids=["empty", "half", "binary", "long", "gone"],
)
def test_a_file_that_cannot_be_read_leaves_what_was_read_last_and_is_told_once(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "keys"
    path.write_text(key_line("edge", "old"))
    keys = PartnerKeys(path=path)

    with capture_logs() as logs:
        path.unlink() if content is None else path.write_bytes(content)
        keys.look(path)
        keys.look(path)
        kept = holder(keys, "old")
        path.write_text(key_line("edge", "new"))
        keys.look(path)

    assert kept == "edge"
    assert [holder(keys, key) for key in ("old", "new")] == [None, "edge"]
    assert [line["event"] for line in logs] == ["partner_keys_unreadable", "partner_keys_read"]


def test_without_anything_to_begin_with_it_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(KeysUnreadable, match="cannot be read: No such file"):
        PartnerKeys(path=tmp_path / "none")
    with pytest.raises(KeysUnreadable, match="line 2"):
        PartnerKeys(text=f"{key_line('edge', 'one')};edge")
