"""Plots of the results, each as SVG and PNG, made of the JSON alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from .measuring import Spread
from .report import Row, number, target

_OURS, _WHOLE, _BARE, _OFF, _GOOD, _BAD = "#1f6fb4", "#8a8f98", "#c9ced6", "#b9c4cf", "#2e8b57", "#c0392b"
_STAGES = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee9966", "#aa3377", "#bbbbbb", "#885522", "#99ddbb", "#444444")


def draw(results: dict[str, Any], output: Path) -> list[Path]:
    """Every plot that the sections which were run can give."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "svg.hashsalt": "private-key-jwt",
        }
    )
    sections = {section["name"]: section for section in results["sections"] if "failed" not in section["data"]}
    facts = results["environment"]
    foot = f"{facts['date'][:10]}, {facts['mode']} mode, {facts['machine']}, {facts['python']}, {facts['openssl']}"
    written = []
    for needs, plot in _PLOTS:
        if needs not in sections:
            continue
        figure = plot(plt, sections[needs])
        if figure is None:
            continue
        figure.supxlabel(foot, fontsize=6, color="#777777", x=0.99, ha="right")
        for kind in ("svg", "png"):
            path = output / f"{plot.__name__}.{kind}"
            figure.savefig(path, dpi=120, metadata={"Date": None} if kind == "svg" else None)
            written.append(path)
        plt.close(figure)
    return written


def _rows(section: dict[str, Any]) -> list[Row]:
    return [Row(**{name: value for name, value in row.items() if name != "met"}) for row in section["rows"]]


def targets(plt: Any, section: dict[str, Any]) -> Any:
    """How far each figure is from its target; on a logarithmic axis, since some are far."""
    rows = [row for row in _rows(section) if row.limit and row.measured][::-1]
    figure, axes = plt.subplots(figsize=(9, 0.33 * len(rows) + 1.1))
    shares = [row.measured / row.limit if row.at_most else row.limit / row.measured for row in rows]  # type: ignore[operator]
    lowest = min(0.2, *shares) / 1.3
    axes.barh(
        [row.name for row in rows],
        [share - lowest for share in shares],
        left=lowest,
        color=[_GOOD if row.met else _BAD for row in rows],
    )
    axes.set_xscale("log")
    axes.set_xlim(lowest, max(2, *shares) * 3)
    axes.axvline(1, color="black", linewidth=1)
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if lowest <= tick <= max(2, *shares) * 3]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    for place, (row, share) in enumerate(zip(rows, shares, strict=True)):
        text = f" {number(row.measured, row.unit)} (target {target(row)})"
        axes.text(max(share, 1.02), place, text, va="center", fontsize=8)
    axes.set_title("Targets: 1 is the target, left of it is met")
    return figure


def garbage(plt: Any, section: dict[str, Any]) -> Any:
    """16 KiB of garbage, shape by shape."""
    shapes = {name: Spread.of(each["ratios"]) for name, each in section["data"]["garbage"].items()}
    names = list(shapes)[::-1]
    figure, axes = plt.subplots(figsize=(8, 0.2 * len(names) + 1))
    values = [shapes[name].median for name in names]
    axes.barh(names, values, color=[_GOOD if value <= 1 else _BAD for value in values])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if tick <= max(values) * 1.5]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(y=0.01)
    axes.set_title("16 KiB of garbage, refused: times one RSA operation (target: 1)")
    return figure


def peers(plt: Any, section: dict[str, Any]) -> Any:
    """This library beside others."""
    data = {name: each for name, each in section["data"].items() if isinstance(each, dict) and "what" in each}
    spreads = {}
    for name, each in data.items():
        ratios = each.get("ratios") or [one / floor for one, floor in zip(each["seconds"], each["floor"], strict=True)]
        spreads[name] = Spread.of(ratios)
    names = sorted(spreads, key=lambda name: -spreads[name].median)
    figure, axes = plt.subplots(figsize=(9, 0.38 * len(names) + 1.3))
    for place, name in enumerate(names):
        spread, whole = spreads[name], data[name]["what"] == "whole verification"
        color = _OURS if name == "private-key-jwt" else _WHOLE if whole else _BARE
        error = [[spread.median - spread.low], [spread.high - spread.median]]
        axes.barh(place, spread.median, color=color, xerr=error, error_kw={"linewidth": 0.8, "capsize": 2})
        checked = sum(answer == "yes" for answer in data[name]["checks"].values())
        text = f"{spread.median:.2f} x, {checked} of {len(data[name]['checks'])} kinds of check"
        axes.text(spread.high + 0.12, place, text, va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlim(0, max(spread.high for spread in spreads.values()) * 1.32)
    patches = [plt.Rectangle((0, 0), 1, 1, color=color) for color in (_OURS, _WHOLE, _BARE)]
    axes.legend(patches, ["this library", "whole verification", "bare decode"], loc="upper right", frameon=False)
    axes.set_xlabel("times one RSA operation of the same process (1: the floor)")
    axes.set_title("Peers, on the same tokens")
    return figure


def stages(plt: Any, section: dict[str, Any]) -> Any:
    """One bar, stage upon stage."""
    parts = {name: median(values) * 1e6 for name, values in section["data"]["stages"].items()}
    figure, axes = plt.subplots(figsize=(9, 3.2))
    left, total = 0.0, median(section["data"]["whole"]) * 1e6
    for (name, value), color in zip(parts.items(), _STAGES, strict=True):
        width = max(0.0, value)
        label = f"{name}: {value:.1f} µs, {value / total:.0%}"
        axes.barh(0, width, left=left, color=color, label=label, edgecolor="white", linewidth=0.5)
        if width > total / 25:
            axes.text(left + width / 2, 0, f"{value:.1f}", ha="center", va="center", color="white", fontsize=8)
        left += width
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("µs (median)")
    axes.set_title(f"Where the time of one accepted assertion goes: {total:.1f} µs")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=3, frameon=False, fontsize=8)
    return figure


def latency(plt: Any, section: dict[str, Any]) -> Any:
    """p50, p99 and p99.9 of each shape of load."""
    shapes = {name: each["latency"] for name, each in section["data"].items() if "latency" in each}
    names = list(shapes)[::-1]
    figure, axes = plt.subplots(figsize=(9, 0.3 * len(names) + 1.2))
    marks = (("p50", _OURS, "o"), ("p99", "#e08e0b", "D"), ("p99.9", _BAD, "s"))
    for place, name in enumerate(names):
        axes.plot([shapes[name]["p50"], shapes[name]["p99.9"]], [place, place], color=_BARE, linewidth=2, zorder=1)
    for kind, color, marker in marks:
        values = [shapes[name][kind] for name in names]
        axes.scatter(values, range(len(names)), color=color, marker=marker, s=22, label=kind, zorder=2)
    axes.set_yticks(range(len(names)), names)
    axes.set_xscale("log")
    axes.grid(axis="x", which="major", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_xlabel("µs for one request")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.set_title("Latency by shape of load")
    return figure


def changes(plt: Any, section: dict[str, Any]) -> Any:
    """Rotation, flood and outage over time: what was accepted, and the fetches so far."""
    shapes = [(name, each) for name, each in section["data"].items() if "line" in each and name.endswith("1 thread")]
    events = {
        "key": [(120, "new key"), (300, "grace ends"), (420, "new key")],
        "JWKS": [(120, "outage"), (660, "over")],
    }
    figure, all_axes = plt.subplots(len(shapes), 1, figsize=(9, 2.2 * len(shapes)))
    for axes, (name, each) in zip(all_axes, shapes, strict=True):
        at = [point["at"] for point in each["line"]]
        good = [point["outcomes"].get("accepted", 0) for point in each["line"]]
        other = [sum(point["outcomes"].values()) - ok for point, ok in zip(each["line"], good, strict=True)]
        axes.bar(at, good, width=9, color=_GOOD, label="accepted")
        axes.bar(at, other, width=9, bottom=good, color=_BAD, alpha=0.55, label="refused")
        axes.set_ylabel("requests")
        twin = axes.twinx()
        twin.spines["right"].set_visible(True)
        twin.step(at, [point["fetches"] for point in each["line"]], where="post", color="black", label="fetches so far")
        twin.set_ylim(0, twin.get_ylim()[1] * 1.25)
        twin.set_ylabel("fetches so far")
        top = axes.get_ylim()[1]
        axes.set_ylim(0, top * 1.2)
        for when, what in events.get(name.split()[0], ()):
            axes.axvline(when, color="#555555", linestyle=":", linewidth=1)
            axes.text(when + 3, top * 1.19, what, va="top", fontsize=7)
        axes.set_title(name.removesuffix(", 1 thread"))
        handles = [*axes.get_legend_handles_labels()[0], *twin.get_legend_handles_labels()[0]]
        labels = [*axes.get_legend_handles_labels()[1], *twin.get_legend_handles_labels()[1]]
    all_axes[-1].set_xlabel("seconds of the clock")
    figure.legend(handles, labels, loc="outside upper right", ncols=3, frameon=False)
    return figure


def tenants(plt: Any, section: dict[str, Any]) -> Any:
    """The ratio to one client, and the memory of each, by the number of clients."""
    found = {int(count): each for count, each in section["data"]["clients"].items()}
    if len(found) < 2:
        return None
    counts = sorted(found)
    spreads = [Spread.of(found[count]["ratios"]) for count in counts]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    error = [[each.median - each.low for each in spreads], [each.high - each.median for each in spreads]]
    left.errorbar(counts, [each.median for each in spreads], yerr=error, marker="o", color=_OURS, capsize=3)
    left.axhline(1.2, color=_BAD, linestyle="--", linewidth=1)
    left.text(counts[0], 1.205, "target", color=_BAD, fontsize=8, va="bottom")
    left.set_ylim(bottom=0)
    left.set_title("Time, against one client")
    large = [count for count in counts if count >= 10_000]  # with few, memory that was free before is used first
    right.plot(large, [found[count]["kib_each"] for count in large], marker="o", color=_OURS)
    right.axhline(6, color=_BAD, linestyle="--", linewidth=1)
    right.text(large[0], 6.05, "target", color=_BAD, fontsize=8, va="bottom")
    right.set_ylim(0, 7)
    right.set_title("KiB of memory for each client")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlabel("registered clients with cached keys")
    return figure


def soak(plt: Any, section: dict[str, Any]) -> Any:
    """Memory and live marks over time."""
    data = section["data"]
    at = [sample["at"] for sample in data["samples"]]
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(9, 4), sharex=True)
    upper.plot(at, [sample["rss"] / 2**20 for sample in data["samples"]], color=_OURS)
    upper.axvspan(data["steady_from"], at[-1], color=_GOOD, alpha=0.08)
    upper.set_ylim(bottom=0)
    upper.set_ylabel("MiB in memory")
    slope = data["slope_kib_per_minute"]
    upper.set_title(f"Soak: {slope:+,.0f} KiB a minute in the shaded part, where marks expire as fast as they come")
    lower.plot(at, [sample["marks"] for sample in data["samples"]], color="#e08e0b")
    lower.set_ylim(bottom=0)
    lower.set_ylabel("replay marks")
    lower.set_xlabel("seconds")
    return figure


def http(plt: Any, section: dict[str, Any]) -> Any:
    """Requests each second, and p99, of each set-up."""
    data = {name: each for name, each in section["data"].items() if "per_second" in each}
    names = list(data)[::-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 0.42 * len(names) + 1.4), sharey=True)
    colors = [_OFF if data[name]["store"] == "none" else _OURS for name in names]
    spreads = [Spread.of(data[name]["per_second"]) for name in names]
    error = [[each.median - each.low for each in spreads], [each.high - each.median for each in spreads]]
    left.barh(names, [each.median for each in spreads], color=colors, xerr=error, error_kw={"linewidth": 0.8})
    for place, each in enumerate(spreads):
        left.text(each.median * 0.03, place, f"{each.median:,.0f}", va="center", fontsize=8)
    left.set_title("requests/s, 16 connections")
    for offset, (key, label, shade) in enumerate(
        (("latency", "16 connections", _OURS), ("latency_alone", "1 connection", _OFF))
    ):
        places = [place + 0.2 - 0.4 * offset for place in range(len(names))]
        values = [data[name][key]["p99"] / 1e3 for name in names]
        right.barh(places, values, height=0.38, color=shade, label=label)
        for place, value in zip(places, values, strict=True):
            right.text(value, place, f" {value:.1f}", va="center", fontsize=7)
    right.set_title("p99, ms")
    right.legend(frameon=False, loc="best", fontsize=8)
    return figure


_PLOTS: tuple[tuple[str, Callable[[Any, dict[str, Any]], Any]], ...] = (
    ("targets", targets),
    ("targets", garbage),
    ("targets", tenants),
    ("peers", peers),
    ("stages", stages),
    ("load", latency),
    ("load", changes),
    ("soak", soak),
    ("http", http),
)
