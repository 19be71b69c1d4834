"""Replay stores: each remembers, in an engine of its own, which assertions were used."""
