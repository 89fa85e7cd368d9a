"""The entry points that are fuzzed: one list, for Hypothesis and for atheris."""

from types import MappingProxyType
from typing import Final

from tests.fuzz.entries import accounts, connections, flower, makes, messages, partners, replies, tokens

TARGETS: Final = MappingProxyType(
    {
        target.name: target
        for module in (tokens, makes, partners, replies, messages, accounts, connections, flower)
        for target in module.TARGETS
    }
)
