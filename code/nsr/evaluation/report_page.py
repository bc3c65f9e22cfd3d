"""The report's HTML: what it looks like, and nothing of where its figures come from."""

from __future__ import annotations

import html

STYLE = """
:root { color-scheme: light dark; --paper: #fbfbfa; --card: #fff; --ink: #1c1e21; --soft: #666c75; --line: #e4e4e0;
  --train: #3b82f6; --heldout: #d97706; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --card: #1e2125; --ink: #e7e8ea; --soft: #9aa0a8; --line: #30343a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 48px 28px 80px; }
h1 { font-size: 34px; line-height: 1.15; letter-spacing: -.02em; margin: 0 0 6px; }
h2 { font-size: 21px; letter-spacing: -.01em; margin: 56px 0 14px; }
p { margin: 0 0 14px; } .soft { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 14px; margin-top: 28px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; }
.card .name, .card .remark { color: var(--soft); font-size: 13.5px; }
.card .value { font-size: 27px; font-weight: 600; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.view { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin-bottom: 16px; }
.view header { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: baseline; margin-bottom: 12px; }
.view header b { font-size: 17px; }
.tag { font-size: 12px; padding: 1px 9px; border-radius: 99px; border: 1px solid currentColor; color: var(--train); }
.tag.heldout { color: var(--heldout); }
.pictures { display: grid; grid-template-columns: 1.5fr 1fr 1fr; gap: 14px; align-items: start; }
@media (max-width: 760px) { .pictures { grid-template-columns: 1fr; } }
figure { margin: 0; } figure img { display: block; width: 100%; border-radius: 6px; background: #fff; }
figcaption { color: var(--soft); font-size: 13.5px; margin-top: 6px; }
.slider { position: relative; overflow: hidden; border-radius: 6px; background: #fff; --at: 50%; }
.slider img { display: block; width: 100%; border-radius: 0; }
.slider .over { position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.slider .bar { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px; background: #3338;
  pointer-events: none; }
.slider .bar::after { content: "\\2194"; position: absolute; top: 50%; left: 50%; transform: translate(-50%, -50%);
  width: 30px; height: 30px; border-radius: 50%; background: #fff; color: #333; font: 16px/30px system-ui;
  text-align: center; box-shadow: 0 1px 5px #0005; }
.slider input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize; }
.slider input:focus-visible ~ .bar { background: var(--train); }
.slider .label { position: absolute; bottom: 8px; padding: 1px 8px; border-radius: 99px; background: #000a; color: #fff;
  font-size: 12px; pointer-events: none; } .slider .left { left: 8px; } .slider .right { right: 8px; }
.scale { display: inline-block; width: 120px; height: 9px; border-radius: 5px; vertical-align: baseline; margin: 0 6px;
  background: linear-gradient(90deg, #000004, #420a68, #932667, #dd513a, #fca50a, #fcffa4); }
.plot { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; padding: 6px; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tall { max-height: 460px; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 15px; }
th, td { text-align: right; padding: 6px 18px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { position: sticky; top: 0; background: var(--card); font-weight: 600; cursor: pointer; user-select: none; }
th:nth-child(2), td:nth-child(2) { text-align: left; } tr:last-child td { border-bottom: 0; }
tr.heldout td:nth-child(2) { color: var(--heldout); }
pre { margin: 0; padding: 16px 18px; font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
details summary { cursor: pointer; color: var(--soft); margin-bottom: 10px; }
ul { padding-left: 20px; margin: 0; } a { color: var(--train); }
"""

SCRIPT = """
for (const slider of document.querySelectorAll('.slider')) {
  const handle = slider.querySelector('input');
  handle.addEventListener('input', () => slider.style.setProperty('--at', handle.value + '%'));
}
for (const head of document.querySelectorAll('th')) {
  head.addEventListener('click', () => {
    const body = head.closest('table').tBodies[0], column = head.cellIndex;
    const down = head.dataset.down = head.dataset.down === '1' ? '0' : '1';
    const rows = [...body.rows].sort((a, b) =>
      a.cells[column].textContent.localeCompare(b.cells[column].textContent, undefined, { numeric: true }));
    body.append(...(down === '1' ? rows : rows.reverse()));
  });
}
"""

FILE_NAMES = {
    "ply": "mesh in world coordinates (PLY)",
    "glb": "mesh in world coordinates (GLB)",
    "renders": "renders and normals of every view",
    "views": "figures of every view (CSV)",
}


def page(
    *,
    title: str,
    subtitle: str,
    cards: list[tuple[str, str, str]],
    views: list[dict],
    table: list[list[str]],
    mesh: str,
    losses: str | None,
    conf: str | None,
    files: list[tuple[str, str]],
    largest_error: float,
) -> str:
    """The whole page.

    Args:
        title, subtitle: plain text.
        cards: name, value and remark of each summary figure.
        views: per shown view its name, caption, whether it was held out, size (H, W) and pictures as data URLs.
        table: per view: number, split, psnr, ssim, iou, hull iou.
        mesh: HTML of the figure to turn, plotly's script included; losses: likewise without the script, or None.
        conf: escaped text of the resolved conf, or None.
        files: kind and path relative to the page of what else the evaluation wrote.
        largest_error: at the top of the error maps' scale.
    """
    sections = [
        _cards(cards),
        _section("The surface", f'<div class="plot">{mesh}</div>', "Drag to turn, scroll to zoom."),
    ]
    if views:
        remark = (
            "Drag the handle between photograph and render. Held-out views were used by nothing before this evaluation. "
            f'Error maps: 0 <span class="scale"></span> {largest_error:g} of full scale, mean over channels.'
        )
        sections.append(_section("Photographs and renders", "".join(map(_view, views)), remark))
    if table:
        remark = "PSNR and SSIM over the object's mask alone; the hull is the visual hull of the training views."
        sections.append(_section("Every view", _table(table), remark))
    if losses:
        sections.append(_section("Losses", f'<div class="plot">{losses}</div>'))
    links = "".join(f'<li><a href="{html.escape(path)}">{FILE_NAMES[kind]}</a></li>' for kind, path in files)
    sections.append(_section("Files", f"<ul>{links}</ul>"))
    if conf:
        body = f'<details><summary>as it was resolved for this run</summary><div class="scroll tall"><pre>{conf}</pre></div></details>'
        sections.append(_section("Configuration", body))
    name = html.escape(title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: reconstruction</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p class="soft">{html.escape(subtitle)}</p>
{"".join(sections)}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _section(name: str, body: str, remark: str = "") -> str:
    remark = f'<p class="soft">{remark}</p>' if remark else ""
    return f"<section><h2>{name}</h2>{remark}{body}</section>\n"


def _cards(cards: list[tuple[str, str, str]]) -> str:
    boxes = (
        f'<div class="card"><div class="name">{html.escape(name)}</div><div class="value">{html.escape(value)}</div>'
        f'<div class="remark">{html.escape(remark)}</div></div>'
        for name, value, remark in cards
    )
    return f'<div class="cards">{"".join(boxes)}</div>'


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
<figure><img alt="error map" src="{view["error"]}"><figcaption>error</figcaption></figure>
<figure><img alt="normals" src="{view["normal"]}"><figcaption>normals of the surface</figcaption></figure>
</div></article>
"""


def _table(rows: list[list[str]]) -> str:
    names = ("view", "split", "PSNR dB", "SSIM", "IoU", "hull IoU")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(
        f'<tr class="{"heldout" if row[1] == "held out" else "train"}">'
        + "".join(f"<td>{cell}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll tall"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
