"""PURE: what a reader of the push wants to be told: the messages `throttle` and `subscribe`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

MAX_THROTTLE = 120
"""A reader is told how things are once a minute at least."""
MAX_PATTERN = 200
MAX_NAMES = 200

_CHARACTER = r"\\[\W_dDwWsS]|\[\^?[^\[\]\\|&~^]+\]|[^\\\[\](){}*+?|^$]"
_PIECE = re.compile(rf"\.[*+]|{_CHARACTER}")


@dataclass(frozen=True)
class Pattern:
    """A regular expression for lines, of a kind that takes no longer than the line is long, whatever is in it.

    Characters, `.`, `[abc]`, `\\d` and the like; `.*` and `.+` between them; `^`, `$`, and `|` between whole
    alternatives. Nothing else repeats, so a match never has to go back.
    """

    text: str
    _alternatives: tuple[_Chain, ...] = field(compare=False, repr=False)

    @classmethod
    def read(cls, text: str) -> Pattern | None:
        """None for a pattern of another kind."""
        if len(text) > MAX_PATTERN:
            return None
        chains = [_Chain.read(part) for part in re.split(r"(?<!\\)\|", text)]
        alternatives = tuple(chain for chain in chains if chain is not None)
        return cls(text, alternatives) if len(alternatives) == len(chains) else None

    def matches(self, line: str) -> bool:
        return any(chain.matches(line) for chain in self._alternatives)


@dataclass(frozen=True)
class _Chain:
    """Parts of a fixed length that follow each other, with anything in between."""

    parts: tuple[tuple[re.Pattern[str], int], ...]
    from_start: bool
    to_end: bool

    @classmethod
    def read(cls, text: str) -> _Chain | None:
        from_start, to_end = text.startswith("^"), re.search(r"(?<!\\)\$$", text) is not None
        body = text[from_start : len(text) - to_end]
        pieces = _PIECE.findall(body)
        if "".join(pieces) != body or any("--" in piece for piece in pieces):
            return None
        parts: list[list[str]] = [[]]
        for piece in pieces:
            if piece in (".*", ".+"):
                parts.append(["."] if piece == ".+" else [])
            else:
                parts[-1].append(piece)
        try:
            compiled = tuple((re.compile("".join(part)), len(part)) for part in parts)
        except re.error:
            return None
        return cls(compiled, from_start, to_end)

    def matches(self, line: str) -> bool:
        at = 0
        for number, (part, length) in enumerate(self.parts):
            is_last = number == len(self.parts) - 1
            if is_last and self.to_end:
                start = len(line) - length
                fits = start == at if number == 0 and self.from_start else start >= at
                return fits and part.match(line, start) is not None
            found = part.match(line, at) if number == 0 and self.from_start else part.search(line, at)
            if found is None:
                return False
            at = found.end()
        return True


Lines = bool | Pattern
"""Which lines are wanted: all, none, or those that match."""


@dataclass(frozen=True)
class Wish:
    """What a reader wants to be told, and how seldom: each `throttle` half seconds. At first everything."""

    state: bool = True
    logs: Lines = True
    messages: Lines = True
    events: bool | frozenset[str] = True
    plugins: bool | frozenset[str] = True
    throttle: int = 1

    def wants_event(self, name: str) -> bool:
        return self.events if isinstance(self.events, bool) else name in self.events

    def wants_plugin(self, name: str) -> bool:
        return self.plugins if isinstance(self.plugins, bool) else name in self.plugins

    def throttled(self, factor: object) -> Wish:
        """After `{"throttle": factor}`; what is no number changes nothing."""
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            return self
        return replace(self, throttle=int(min(max(factor, 1), MAX_THROTTLE)))

    def subscribed(self, wanted: object) -> Wish:
        """After `{"subscribe": wanted}`: nothing is told that it does not name; what is no object changes nothing."""
        if not isinstance(wanted, dict):
            return self
        state = wanted.get("state", False)
        of_state = state if isinstance(state, dict) else {}
        return Wish(
            state=state is True or isinstance(state, dict),
            logs=_lines(of_state.get("logs", True)),
            messages=_lines(of_state.get("messages", True)),
            events=_names(wanted.get("events", False)),
            plugins=_names(wanted.get("plugins", False)),
            throttle=self.throttle,
        )


def selected(lines: Iterable[str], wanted: Lines) -> list[str]:
    if isinstance(wanted, bool):
        return list(lines) if wanted else []
    return [line for line in lines if wanted.matches(line)]


def _lines(wanted: object) -> Lines:
    """A pattern that is not understood wants all lines: too many are easier to bear than too few."""
    if isinstance(wanted, str):
        return Pattern.read(wanted) or True
    return wanted is True


def _names(wanted: object) -> bool | frozenset[str]:
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return frozenset(name for name in wanted[:MAX_NAMES] if isinstance(name, str))
    return wanted is True
