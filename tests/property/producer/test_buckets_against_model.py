"""Buckets of tokens do what a plain model of them does, whatever is taken when by whom."""

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from producer.receiver.http.buckets import Buckets, Rate

MOST = 3
# Parts of a second that floating point holds exactly, as it does rates that are powers of two.
PARTS = 64


@dataclass
class Model:
    """Each bucket with its level, and who took last at the end."""

    per_second: int
    burst: int
    level: dict[str, Fraction] = field(default_factory=dict)
    looked_at: dict[str, Fraction] = field(default_factory=dict)

    def take(self, source: str, at: Fraction, tokens: int) -> Fraction:
        level = self.level.pop(source, Fraction(self.burst))
        level += (at - self.looked_at.pop(source, at)) * self.per_second
        level = min(level, Fraction(self.burst))
        lacks = max(tokens - level, Fraction(0))
        self.level[source] = level if lacks else level - tokens
        self.looked_at[source] = at
        if len(self.level) > MOST:
            self.looked_at.pop(oldest := next(iter(self.level)))
            self.level.pop(oldest)
        return lacks / self.per_second


# Who took last is remembered, whoever came first.
@example(per_second=1, burst=1, takes=[(source, 0, 1) for source in "abcada"])
@given(
    per_second=st.sampled_from([1, 2, 8]),
    burst=st.integers(1, 5),
    takes=st.lists(
        st.tuples(st.sampled_from("abcde"), st.just(0) | st.integers(0, 3 * PARTS), st.integers(1, 6)),
        max_size=80,
    ),
)
def test_buckets_do_as_their_model(per_second: int, burst: int, takes: list[tuple[str, int, int]]) -> None:
    buckets, rate = Buckets(most=MOST), Rate(per_second, burst)
    model = Model(per_second, burst)
    now = 1_000 * PARTS

    for source, passed, tokens in takes:
        now += passed
        wait_seconds = buckets.take(source, rate, at=now / PARTS, tokens=tokens)
        assert wait_seconds == model.take(source, Fraction(now, PARTS), tokens)
        assert len(buckets) <= MOST
