"""What was tried, and what came of it: the table that ``--hostile-table`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

_COLUMNS = ("cases", "of these to be accepted", "wrongly accepted", "foreign exceptions", "other surprises")


class Counts:
    """Counts by attack class, and what became of each misbehaving publisher."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._publishers: dict[str, tuple[str, str, float, int]] = {}

    def add(
        self, attack_class: str, *, valid: bool = False, accepted: bool = False, foreign: bool = False, surprising: bool
    ) -> None:
        """Count one case.

        valid: it is no attack, and was to be accepted. accepted: it was let in, and must not be. foreign: an
        exception that is not ours. surprising: anything else than what was expected.
        """
        counts = self._counts.setdefault(attack_class, Counter())
        counts["cases"] += 1
        counts["of these to be accepted"] += valid
        counts["wrongly accepted"] += accepted
        counts["foreign exceptions"] += foreign
        counts["other surprises"] += surprising and not accepted and not foreign

    def add_publisher(self, name: str, cold: str, warm: str, seconds: float, fetches: int) -> None:
        """What a first and a later fetch from a publisher got, how long the longest took, how many each cost."""
        longest = max(seconds, self._publishers[name][2] if name in self._publishers else 0)
        self._publishers[name] = cold, warm, longest, fetches

    def lines(self) -> Iterator[str]:
        """A Markdown table."""
        yield f"| attack class | {' | '.join(_COLUMNS)} |"
        yield "|" + "---|" * (len(_COLUMNS) + 1)
        total: Counter[str] = Counter()
        for attack_class, counts in self._counts.items():
            yield self._line(attack_class, counts)
            total.update(counts)
        yield self._line("**all**", total)
        yield ""
        yield "| the publisher | a first fetch gets | a later one gets, beside its good key | longest | fetches each |"
        yield "|---|---|---|---|---|"
        for name, (cold, warm, seconds, fetches) in self._publishers.items():
            yield f"| {name} | `{cold}` | `{warm}` | {seconds:.2f} s | {fetches} |"

    def _line(self, attack_class: str, counts: Counter[str]) -> str:
        return f"| {attack_class} | {' | '.join(f'{counts[column]:,}' for column in _COLUMNS)} |"
