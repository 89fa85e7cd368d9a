"""How a statement of BETCORE's is written: its columns, its words, its numbers and times.

Their back office has no published format, so whoever has a statement says what its columns are.
"""

import tomllib
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from worker.errors import WorkerError
from worker.reconciliation.period import read_zone

Member = Literal["cashback_id", "amount", "type", "user", "currency", "status", "at"]
MEMBERS: Final[tuple[str, ...]] = get_args(Member)
MAX_FORM_BYTES: Final = 65_536

Words = Annotated[frozenset[str], Field(max_length=100)]
_INT32: Final = Field(ge=-(2**31), lt=2**31)


class BadForm(WorkerError):
    """What was said of the statement's columns is wrong."""

    reason = "bad_statement_form"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Statuses(_Part):
    """What the words of the column `status` mean, whatever their case."""

    confirmed: Words = frozenset(
        {"confirmed", "accepted", "paid", "success", "succeeded", "completed", "done", "ok"}
    )
    cancelled: Words = frozenset(
        {"cancelled", "canceled", "reversed", "void", "voided", "rejected", "declined", "failed"}
    )
    open: Words = frozenset({"open", "pending", "new", "processing", "sent"})

    @property
    def meanings(self) -> dict[str, str]:
        """What each word means, in lower case."""
        return {
            word.casefold(): meaning
            for meaning, words in (
                ("confirmed", self.confirmed),
                ("cancelled", self.cancelled),
                ("open", self.open),
            )
            for word in words
        }

    @model_validator(mode="after")
    def _mean_one_thing(self) -> Self:
        kinds = (self.confirmed, self.cancelled, self.open)
        if sum(len({word.casefold() for word in words}) for words in kinds) != len(self.meanings):
            raise ValueError("a word stands in more than one of confirmed, cancelled and open")
        return self


class StatementForm(_Part):
    """All that is to be known of a statement to read it."""

    columns: dict[Member, str]
    delimiter: Annotated[str, Field(pattern=r'^[^"\r\n]$')] | None = None
    decimal_comma: bool = False
    time_format: Annotated[str, Field(max_length=100)] | None = None
    timezone: str = "UTC"
    statuses: Statuses = Statuses()
    types: dict[str, Annotated[int, _INT32]] = Field(default_factory=dict)

    @field_validator("columns")
    @classmethod
    def _say_what_is_compared(cls, columns: dict[Member, str]) -> dict[Member, str]:
        if "cashback_id" not in columns:
            raise ValueError("cashback_id must be one of the columns: rows are compared by it")
        if len(set(columns.values())) != len(columns):
            raise ValueError("two of them are the same column")
        return columns

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        read_zone(name)
        return name


def read_form(
    toml: bytes | None, *, columns: str | None, delimiter: str | None, timezone: str
) -> StatementForm:
    """Return the form that a TOML file (or none) and options say; options win. Raises BadForm."""
    try:
        said = tomllib.loads(toml.decode("utf-8")) if toml is not None else {}
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadForm(f"the map file is no TOML: {error}") from None
    given: dict[str, object] = {"timezone": timezone, **said}
    if columns is not None:
        given["columns"] = _read_columns(columns)
    if delimiter is not None:
        given["delimiter"] = "\t" if delimiter == "\\t" else delimiter
    if "columns" not in given:
        raise BadForm("no columns are said: give --map cashback_id=ID,amount=Sum or --map-file")
    try:
        return StatementForm.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadForm(f"the statement's form is wrong at {where}: {first['msg']}") from None


def _read_columns(text: str) -> dict[str, str]:
    columns = {}
    for part in text.split(","):
        member, equals, column = part.partition("=")
        if not (equals and column) or member not in MEMBERS:
            raise BadForm(
                f"--map: {part!a} is no NAME=COLUMN with one of {', '.join(MEMBERS)}; "
                "columns with a comma in their name need --map-file"
            )
        columns[member] = column
    return columns
