"""What was tried, and what came of it: the table that ``--hostile-table`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

_COLUMNS = ("cases", "wrongly accepted", "foreign exceptions", "other surprises")


class Tally:
    """Counts by attack class."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, attack_class: str, *, accepted: bool, foreign: bool, surprising: bool, cases: int = 1) -> None:
        """Count one case, or several of one outcome.

        accepted: it was let in, and must not be. foreign: an exception that is not ours. surprising: anything
        else than what was expected.
        """
        counts = self._counts.setdefault(attack_class, Counter())
        counts["cases"] += cases
        counts["wrongly accepted"] += accepted
        counts["foreign exceptions"] += foreign
        counts["other surprises"] += surprising and not accepted and not foreign

    def lines(self) -> Iterator[str]:
        """A Markdown table."""
        yield f"| attack class | {' | '.join(_COLUMNS)} |"
        yield "|" + "---|" * (len(_COLUMNS) + 1)
        total: Counter[str] = Counter()
        for attack_class, counts in self._counts.items():
            yield self._line(attack_class, counts)
            total.update(counts)
        yield self._line("**all**", total)

    def _line(self, attack_class: str, counts: Counter[str]) -> str:
        return f"| {attack_class} | {' | '.join(f'{counts[column]:,}' for column in _COLUMNS)} |"

    def __bool__(self) -> bool:
        return bool(self._counts)
