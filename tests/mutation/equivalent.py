"""Mutants that no test can tell from the original, or that need not be told: each with the reason."""

EQUIVALENT: dict[str, str] = {}
