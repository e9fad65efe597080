#!/usr/bin/env python3
"""Draws docs/simulation.svg from what `verge-sim --policy all --json` printed.

  build/release/verge-sim --policy all --json | sim/picture.py > docs/simulation.svg
"""
import json
import re
import sys
from pathlib import Path

COLOURS = {"round-robin": "#9aa5b1", "nearest": "#9aa5b1", "least-loaded": "#9aa5b1", "ours": "#e8590c", "oracle": "#5c7cfa"}


def cities():
    text = (Path(__file__).parent / "cities.h").read_text()
    return [(name, float(lat), float(lon)) for name, lat, lon, _ in re.findall(r'\{"(\w+)", ([-\d.]+), ([-\d.]+), ([-\d.]+)\}', text)]


def bars(runs, key, title, x, y, width):
    most = max(run[key] for run in runs)
    out = [f'<text x="{x}" y="{y}" class="title">{title}</text>']
    for i, run in enumerate(runs):
        top = y + 14 + i * 26
        length = max(2, width * run[key] / most)
        out.append(f'<text x="{x + 92}" y="{top + 14}" text-anchor="end">{run["policy"]}</text>')
        out.append(f'<rect x="{x + 100}" y="{top}" width="{length:.1f}" height="19" rx="2" fill="{COLOURS[run["policy"]]}"/>')
        out.append(f'<text x="{x + 106 + length:.1f}" y="{top + 14}">{run[key]:,.0f} ms</text>')
    return out


def world(run, places, x, y, width, height):
    def at(city):
        return x + width * (city[2] + 170) / 345, y + height * (68 - city[1]) / 112

    served = run["served_from"]
    size = len(places)
    total = sum(served)
    out = [f'<text x="{x}" y="{y - 8}" class="title">Who answers whom (ours): {100 * sum(served[i * size + i] for i in range(size)) / total:.0f} % in the caller\'s own region</text>',
           f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="#f4f6f8" rx="4"/>']
    for a in range(size):
        for b in range(size):
            count = served[a * size + b]
            if a == b or count < total / 4000:
                continue
            (x1, y1), (x2, y2) = at(places[a]), at(places[b])
            lift = 0.18 * abs(x2 - x1) + 4
            thick = min(6, 60 * (count / total))
            out.append(f'<path d="M{x1:.1f},{y1:.1f} Q{(x1 + x2) / 2:.1f},{(y1 + y2) / 2 - lift:.1f} {x2:.1f},{y2:.1f}" fill="none" stroke="#e8590c" stroke-opacity="0.45" stroke-width="{max(0.4, thick):.2f}"/>')
    for i, city in enumerate(places):
        cx, cy = at(city)
        own = sum(served[i * size:(i + 1) * size])
        out.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{2 + 60 * own / total:.1f}" fill="#364fc7"/><text x="{cx + 6:.1f}" y="{cy - 5:.1f}">{city[0]}</text>')
    return out


def main():
    runs = [json.loads(line) for line in sys.stdin if line.startswith("{")]
    ours = next(run for run in runs if run["policy"] == "ours")
    svg = ['<svg xmlns="http://www.w3.org/2000/svg" width="900" height="640" viewBox="0 0 900 640" font-family="sans-serif" font-size="12">',
           "<style>.title{font-size:14px;font-weight:bold}</style>", '<rect width="900" height="640" fill="#fff"/>']
    svg += bars(runs, "mean_ms", "Time to first token, mean", 20, 30, 230)
    svg += bars(runs, "p99_ms", "Time to first token, 99th percentile", 460, 30, 230)
    svg += world(ours, cities(), 20, 215, 860, 400)
    svg.append("</svg>")
    print("\n".join(svg))


main()
