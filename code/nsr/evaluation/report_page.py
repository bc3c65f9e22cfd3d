"""The report's HTML: what it looks like, and nothing of where its figures come from."""

from __future__ import annotations

import html

from nsr.evaluation.html_page import html_page, section, table
from nsr.evaluation.report_numbers import UNKNOWN

FILE_NAMES = {
    "ply": "mesh in world coordinates (PLY)",
    "glb": "mesh in world coordinates (GLB)",
    "renders": "renders and normals of every view",
    "views": "figures of every view (CSV)",
}
VIEW_COLUMNS = ("view", "split", "PSNR dB", "SSIM", "LPIPS", "IoU", "hull IoU")


def page(
    *,
    title: str,
    subtitle: str,
    cards: list[tuple[str, str, str]],
    mesh: str,
    views: list[dict],
    psnr: str | None,
    view_rows: list[list[str]],
    losses: str | None,
    timings: list[tuple[str, str]],
    scene: str,
    conf: str | None,
    files: list[tuple[str, str]],
    largest_error: float,
) -> str:
    """The whole page.

    Args:
        title, subtitle: plain text.
        cards: name, value and remark of each summary figure.
        mesh: HTML of the figure to turn.
        views: per shown view its name, caption, whether it was held out, size (H, W) and pictures as data URLs.
        psnr: HTML of the figure of every view's PSNR, or None.
        view_rows: texts under ``VIEW_COLUMNS``; a column that nothing is known of is left out.
        losses: HTML of the figure, or None.
        timings: what was measured and its value, as text.
        scene: HTML of what went in.
        conf: plain text of the resolved conf, or None.
        files: kind and path relative to the page of what else the evaluation wrote.
        largest_error: at the top of the error maps' scale.
    """
    sections = [_cards(cards), section("The surface", mesh, "Drag to turn, scroll to zoom.")]
    if views:
        remark = (
            "Drag the handle between photograph and render. Held-out views were used by nothing before. "
            f'Error maps: 0 <span class="scale"></span> {largest_error:g} of full scale.'
        )
        sections.append(section("Photographs and renders", "".join(map(_view, views)), remark))
    if view_rows:
        remark = "PSNR and SSIM over the object's mask alone; the hull is the visual hull of the training views."
        classes = ["heldout" if row[1] == "held out" else "train" for row in view_rows]
        known = [place for place in range(len(VIEW_COLUMNS)) if any(row[place] != UNKNOWN for row in view_rows)]
        names, rows = [VIEW_COLUMNS[place] for place in known], [[row[place] for place in known] for row in view_rows]
        sections.append(section("Every view", (psnr or "") + table(names, rows, classes), remark))
    if losses:
        sections.append(section("Training", losses, "Weighted terms by name, and their sum; PSNR of each step's rays."))
    sections.append(section("Time and memory", _facts(timings)))
    sections.append(section("What went in", scene))
    links = "".join(f'<li><a href="{html.escape(path)}">{FILE_NAMES[kind]}</a></li>' for kind, path in files)
    sections.append(section("Files", f"<ul>{links}</ul>"))
    if conf:
        body = (
            "<details><summary>as it was resolved for this run</summary>"
            f'<div class="scroll tall"><pre>{html.escape(conf)}</pre></div></details>'
        )
        sections.append(section("Configuration", body))
    return html_page(f"{title}: reconstruction", title, subtitle, "".join(sections))


def _cards(cards: list[tuple[str, str, str]]) -> str:
    boxes = (
        f'<div class="card"><div class="name">{html.escape(name)}</div><div class="value">{html.escape(value)}</div>'
        f'<div class="remark">{html.escape(remark)}</div></div>'
        for name, value, remark in cards
    )
    return f'<div class="cards">{"".join(boxes)}</div>'


def _facts(rows: list[tuple[str, str]]) -> str:
    lines = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in rows)
    return f'<dl class="facts">{lines}</dl>'


def _view(view: dict) -> str:
    split = '<span class="tag heldout">held out</span>' if view["heldout"] else '<span class="tag">training</span>'
    height, width = view["size"]
    return f"""<article class="view">
<header><b>{html.escape(view["name"])}</b>{split}<span class="soft">{html.escape(view["caption"])}</span></header>
<div class="pictures">
<figure><div class="slider" style="aspect-ratio: {width} / {height}">
<img alt="render" src="{view["rendered"]}"><img class="over" alt="photograph" src="{view["photograph"]}">
<input type="range" min="0" max="100" value="50" step="0.2" aria-label="photograph or render"><span class="bar"></span>
<span class="label left">photograph</span><span class="label right">render</span></div></figure>
<figure><img alt="error map" src="{view["error"]}"><span class="label left">error</span></figure>
<figure><img alt="normals" src="{view["normal"]}"><span class="label left">normals</span></figure>
</div></article>
"""
