"""Each import is on record with its file: the name, the SHA-256, who and why, and what it did."""

from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.desk import Desk
from tests.support.in_process import invoke

CONTENT = b"user_id,currency,status,balance\r\ndora,EUR,active,1.50\nemil,EUR,blocked,0\n"


def test_an_import_is_noted_with_its_file(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_bytes(CONTENT)
    before = desk.counts()[-1]

    first = desk.run("import", str(file), "--reason", "ticket 7", "--json").document("accounts-import")
    second = desk.run("import", str(file), person="ben@desk")

    assert first == {"opened": 2, "updated": 0, "unchanged": 0}
    assert (second.exit_code, second.stderr) == (0, "")
    digest = sha256(CONTENT).hexdigest()
    assert desk.actions(str(file)[-200:]) == [
        ("accounts.import", "anna@desk", "ticket 7", None, first | {"sha256": digest}),
        (
            "accounts.import",
            "ben@desk",
            None,
            None,
            {"opened": 0, "updated": 0, "unchanged": 2, "sha256": digest},
        ),
    ]
    assert desk.counts()[-1] == before + 2


def test_what_comes_from_standard_input_is_noted_as_that(desk: Desk) -> None:
    done = invoke("accounts", "import", "-", stdin=CONTENT, database_url=desk.operator_url)

    assert done.exit_code == 0
    assert desk.actions("<stdin>")[-1][-1]["sha256"] == sha256(CONTENT).hexdigest()


def test_what_was_not_imported_is_not_noted(desk: Desk) -> None:
    before = desk.counts()

    done = invoke("accounts", "import", "-", stdin=CONTENT + b"x\n", database_url=desk.operator_url)

    assert (done.exit_code, "line 4" in done.stderr) == (1, True)
    assert desk.counts() == before


@pytest.mark.parametrize(("known", "share"), [(0, 1.0), (50, 0.5), (100, 0.0)])
def test_how_many_accounts_are_new_is_known_before_they_are_opened(
    desk: Desk, known: int, share: float
) -> None:
    rows = [(number, f"share {known} {number}") for number in range(100)]
    with desk.owner.transaction(force_rollback=True):
        for _, name in rows[:known]:
            desk.owner.execute(
                "INSERT INTO accounts (kind, user_id, currency, balance_minor) VALUES ('user', %s, 'EUR', 0)",
                (name,),
            )
        desk.owner.execute("SELECT prepare_accounts_import()")
        with desk.owner.cursor() as cursor:
            cursor.executemany("INSERT INTO imported_accounts VALUES (%s, %s, 'EUR', 'active', 0)", rows)
        assert desk.owner.execute("SELECT * FROM check_accounts_import(1)").fetchall() == []

        assert desk.owner.execute("SELECT new_accounts_share()").fetchall() == [(share,)]
