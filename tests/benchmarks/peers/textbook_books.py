"""The textbook worker's books: SQLAlchemy's declarative models, engine and sessions.

`python -m tests.benchmarks.peers.textbook_books URL USERS` makes the tables and that many accounts.
"""

import os
import sys
from datetime import datetime
from decimal import Decimal
from functools import cache

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Numeric,
    String,
    UniqueConstraint,
    create_engine,
    func,
    insert,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

HOUSE = "house"


class Base(DeclarativeBase):  # type: ignore[misc]  # no types without its environment
    """The models' common base."""


class Account(Base):
    """A player's account, or the house's, which keeps no balance."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    user_id: Mapped[str] = mapped_column(String(128), unique=True)
    status: Mapped[str] = mapped_column(String(16), default="active")
    balance: Mapped[Decimal] = mapped_column(Numeric(18, 4), default=0)


class Payment(Base):
    """One cashback, once: the unique key is what makes the task idempotent."""

    __tablename__ = "payments"
    __table_args__ = (UniqueConstraint("cashback_id", "transaction_type"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    cashback_id: Mapped[int] = mapped_column(BigInteger)
    transaction_type: Mapped[int]
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 4))
    tax_amount: Mapped[Decimal] = mapped_column(Numeric(18, 4))
    accepted_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    account: Mapped[Account] = relationship()
    entries: Mapped[list["Entry"]] = relationship(back_populates="payment")


class Entry(Base):
    """One line of a payment; the lines of a payment sum to zero."""

    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 4))
    payment: Mapped[Payment] = relationship(back_populates="entries")


def sqlalchemy_url(database_url: str) -> str:
    """Return the URL in SQLAlchemy's form, with psycopg 3 as the driver."""
    return database_url.replace("postgresql://", "postgresql+psycopg://", 1)


@cache
def sessions() -> sessionmaker[Session]:
    """Return this process's session factory, made at its first use: a child needs an engine of its own."""
    engine = create_engine(
        sqlalchemy_url(os.environ["CASHBACK_DATABASE_URL"]),
        # No connection is opened, thrown away or waited for in a measurement.
        pool_size=int(os.environ["PEER_CONCURRENCY"]),
    )
    # What was read stays readable after the commit, without another SELECT.
    return sessionmaker(engine, expire_on_commit=False)


@cache
def house_id() -> int:
    """Return the id of the house's account, which never changes."""
    with sessions()() as session:
        return int(session.scalars(select(Account.id).filter_by(user_id=HOUSE)).one())


def make(database_url: str, users: str) -> None:
    """Make the tables, the house's account and those of `users` players."""
    engine = create_engine(sqlalchemy_url(database_url))
    Base.metadata.create_all(engine)
    names = [HOUSE, *(f"u-{number}" for number in range(int(users)))]
    with engine.begin() as connection:
        connection.execute(
            insert(Account), [{"user_id": name, "status": "active", "balance": 0} for name in names]
        )
    engine.dispose()


if __name__ == "__main__":
    make(*sys.argv[1:])
