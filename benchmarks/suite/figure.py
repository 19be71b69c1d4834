"""The README's figure: what a verification costs here and with other libraries. As SVG, light and dark."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from .measuring import Spread

# Text, this library, a whole verification, a bare decode.
_SCHEMES = {
    "light": ("#1f2328", "#1f6fb4", "#8a8f98", "#c9ced6"),
    "dark": ("#e6edf3", "#4c9be8", "#8b949e", "#545b64"),
}
_LEGEND = ("this library", "whole verification", "bare decode: the server does the rest")
_WIDTH, _NAMES, _ROW, _TOP = 860, 300, 26, 34
_SCALE = 340  # of the longest bar


def draw(data: dict[str, Any], output: Path) -> list[Path]:
    """Draw the data of the section ``peers`` into ``output``; return the files."""
    paths = []
    for scheme, colors in _SCHEMES.items():
        paths.append(output / f"cost-{scheme}.svg")
        paths[-1].write_text(_svg(data, *colors), encoding="utf-8")
    return paths


def _svg(data: dict[str, Any], ink: str, *bars: str) -> str:
    peers = {name: each for name, each in data.items() if "ratios" in each}
    costs = {name: Spread.of(each["ratios"]).median for name, each in peers.items()}
    unit = _SCALE / max(costs.values())
    parts = []
    for place, color in enumerate(bars):
        x = 30 + 180 * place
        parts += [_bar(x, 10, 12, color), f'<text x="{x + 18}" y="20">{_LEGEND[place]}</text>']
    for row, name in enumerate(sorted(peers, key=costs.__getitem__)):
        peer, y = peers[name], _TOP + _ROW * row
        kind = 0 if name == "private-key-jwt" else 1 if peer["what"] == "whole verification" else 2
        length = costs[name] * unit
        label = f"{costs[name]:.1f} ×, {peer['checked']} of {peer['checks']} kinds of check"
        parts += [
            f'<text x="{_NAMES - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            _bar(_NAMES, y + 2, length, bars[kind], 16),
            f'<text x="{_NAMES + length + 6:.0f}" y="{y + 14}">{label}</text>',
        ]
    bottom = _TOP + _ROW * len(peers)
    parts += [
        f'<path d="M{_NAMES + unit:.1f} {_TOP - 4}V{bottom}" stroke="{ink}" stroke-dasharray="3"/>',
        f'<text x="{_NAMES + unit:.0f}" y="{bottom + 14}" text-anchor="middle">1 × is one RSA operation</text>',
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 22}" role="img"'
        f' font-family="system-ui, sans-serif" font-size="13" fill="{ink}">\n'
        "<title>The cost of a verification in RSA operations, beside other libraries</title>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _bar(x: float, y: float, width: float, color: str, height: int = 12) -> str:
    return f'<rect x="{x:.0f}" y="{y}" width="{width:.1f}" height="{height}" fill="{color}"/>'
