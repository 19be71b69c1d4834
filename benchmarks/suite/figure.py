"""The one figure: what a verification costs here and in other libraries; light and dark, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .measuring import Spread

_SCHEMES = {"light": ("#1f2328", "#1f6fb4", "#8a8f98", "#c9ced6"), "dark": ("#e6edf3", "#4c9be8", "#8b949e", "#484f58")}


def draw(results: dict[str, Any], output: Path) -> list[Path]:
    """Draw the section ``peers``, where it was run."""
    sections = [
        section for section in results["sections"] if section["name"] == "peers" and "failed" not in section["data"]
    ]
    return [_draw(section["data"], scheme, output) for section in sections for scheme in _SCHEMES]


def _draw(data: dict[str, Any], scheme: str, output: Path) -> Path:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    ink, this, whole, bare = _SCHEMES[scheme]
    peers = {name: each for name, each in data.items() if "ratios" in each}
    spreads = {name: Spread.of(each["ratios"]) for name, each in peers.items()}
    names = sorted(peers, key=lambda name: -spreads[name].median)
    with rc_context(
        {"svg.hashsalt": scheme, "text.color": ink, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink}
    ):
        figure = Figure(figsize=(9, 0.38 * len(names) + 1.3), layout="constrained")
        axes = figure.subplots()
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(ink)
        for place, name in enumerate(names):
            spread, peer = spreads[name], peers[name]
            color = this if name == "private-key-jwt" else whole if peer["what"] == "whole verification" else bare
            axes.barh(place, spread.median, color=color)
            text = f"{spread.median:.2f} x, {peer['checked']} of {peer['checks']} kinds of check"
            axes.text(spread.median + 0.1, place, text, va="center", fontsize=8)
        axes.set_yticks(range(len(names)), names)
        axes.axvline(1, color=ink, linewidth=1)
        axes.set_xlim(0, max(spread.median for spread in spreads.values()) * 1.35)
        axes.set_xlabel("times one RSA operation of the same process")
        patches = [Patch(color=color) for color in (this, whole, bare)]
        axes.legend(patches, ["this library", "whole verification", "bare decode"], loc="upper right", frameon=False)
        path = output / f"peers-{scheme}.svg"
        figure.savefig(path, transparent=True, metadata={"Date": None})
    return path
