"""Chamfer distances on DTU's fifteen scans, ours beside published ones."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from nsr.atomic import whole_file
from nsr.evaluation.dtu_chamfer import SCANS

# mm, scans in the order of SCANS: what the papers (or the later papers that compare with them) report for the same
# protocol without alignment by ICP.  Training conditions differ: masks, resolution, hours.
PUBLISHED = {
    "COLMAP, trim 7 (open)": ".45 .91 .37 .37 .90 1.00 .54 1.22 1.08 .64 .48 .59 .32 .45 .43",
    "COLMAP, trim 0": ".81 2.05 .73 1.22 1.79 1.58 1.02 3.05 1.40 2.05 1.00 1.32 .49 .78 1.17",
    "IDR (masks)": "1.63 1.87 .63 .48 1.04 .79 .77 1.33 1.16 .76 .67 .90 .42 .51 .53",
    "VolSDF": "1.14 1.26 .81 .49 1.25 .70 .72 1.29 1.18 .70 .66 1.08 .42 .61 .55",
    "NeuS (masks)": ".83 .98 .56 .37 1.13 .59 .60 1.45 .95 .78 .52 1.43 .36 .45 .45",
    "NeuS2 (masks)": ".56 .76 .49 .37 .92 .71 .76 1.22 1.08 .63 .59 .89 .40 .48 .55",
    "Voxurf (masks)": ".65 .74 .39 .35 .96 .64 .85 1.58 1.01 .68 .60 1.11 .37 .45 .47",
    "Neuralangelo": ".37 .72 .35 .35 .87 .54 .53 1.29 .97 .73 .47 .74 .32 .41 .43",
    "Geo-NeuS": ".38 .54 .34 .36 .80 .45 .41 1.03 .84 .55 .46 .47 .29 .36 .35",
    "2DGS": ".48 .91 .39 .39 1.01 .83 .81 1.36 1.27 .76 .70 1.40 .40 .76 .52",
    "PGSR": ".36 .57 .38 .33 .78 .58 .50 1.08 .63 .59 .46 .54 .30 .38 .34",
    "GeoSVR": ".32 .51 .30 .33 .71 .48 .42 1.03 .62 .56 .33 .46 .30 .34 .32",
}


@dataclass
class ScanFigure:
    """One measured mesh; mm.  The reference is "stl" or another that was asked for."""

    method: str
    scan: int
    accuracy: float
    completeness: float
    overall: float
    reference: str
    mesh: str


def format_table(figures: list[ScanFigure], *, published: bool = True) -> str:
    """A line per method, a column per scan, Chamfer distances in mm.

    The mean is over the scans that a method has; where these are not all fifteen it says so, and published rows stand
    beside it with their mean over all.  Scans beyond the fifteen get columns of their own.
    """
    scans = [*SCANS, *sorted({figure.scan for figure in figures} - set(SCANS))]
    methods = list(dict.fromkeys(figure.method for figure in figures))
    rows = {}
    if published:
        rows = {name: dict(zip(SCANS, map(float, values.split()), strict=True)) for name, values in PUBLISHED.items()}
    for method in methods:
        rows[f"{method} (this run)"] = {f.scan: f.overall for f in figures if f.method == method}
    width = max(len(name) for name in [*rows, "Chamfer, mm"])
    lines = [f"{'Chamfer, mm':<{width}}" + "".join(f"{scan:>6}" for scan in scans) + "   mean"]
    for name, row in rows.items():
        cells = "".join(f"{row[scan]:>6.2f}" if scan in row else f"{'-':>6}" for scan in scans)
        known = [value for scan, value in row.items() if scan in SCANS]
        mean = f"{sum(known) / len(known):>7.2f}" if known else f"{'-':>7}"
        lines.append(f"{name:<{width}}{cells}{mean}" + (f"  ({len(known)} of 15)" if len(known) < len(SCANS) else ""))
    return "\n".join(lines)


def write_figures(path: str | Path, figures: list[ScanFigure]) -> None:
    """A CSV line per measured mesh."""
    with whole_file(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "scan", "accuracy_mm", "completeness_mm", "overall_mm", "reference", "mesh"])
        for f in figures:
            values = [f"{value:.6f}" for value in (f.accuracy, f.completeness, f.overall)]
            writer.writerow([f.method, f.scan, *values, f.reference, f.mesh])
