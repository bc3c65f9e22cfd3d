"""What the HTML pages of this room share: their look, and how a page is put together."""

from __future__ import annotations

import html
from collections.abc import Sequence

STYLE = """
:root { color-scheme: light dark; --paper: #fbfbfa; --card: #fff; --ink: #1c1e21; --soft: #666c75; --line: #e4e4e0;
  --train: #3b82f6; --heldout: #d97706; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --card: #1e2125; --ink: #e7e8ea; --soft: #9aa0a8; --line: #30343a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 48px 28px 80px; }
h1 { font-size: 34px; line-height: 1.15; letter-spacing: -.02em; margin: 0 0 6px; }
h2 { font-size: 21px; letter-spacing: -.01em; margin: 56px 0 14px; }
p { margin: 0 0 14px; } .soft { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 14px; margin-top: 28px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; }
.card .name, .card .remark { color: var(--soft); font-size: 13.5px; }
.card .value { font-size: 27px; font-weight: 600; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.view { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px;
  margin-bottom: 16px; }
.view header { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: baseline; margin-bottom: 12px; }
.view header b { font-size: 17px; }
.tag { font-size: 12px; padding: 1px 9px; border-radius: 99px; border: 1px solid currentColor; color: var(--train); }
.tag.heldout { color: var(--heldout); }
.pictures { display: grid; grid-template-columns: repeat(3, 1fr); gap: 14px; align-items: start; }
@media (max-width: 760px) { .pictures { grid-template-columns: 1fr; } }
figure { margin: 0; position: relative; }
figure img { display: block; width: 100%; border-radius: 6px; background: #fff; }
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
.label { position: absolute; bottom: 8px; padding: 1px 8px; border-radius: 99px; background: #000a; color: #fff;
  font-size: 12px; pointer-events: none; } .label.left { left: 8px; } .label.right { right: 8px; }
.scale { display: inline-block; width: 120px; height: 9px; border-radius: 5px; vertical-align: baseline; margin: 0 6px;
  background: linear-gradient(90deg, #000004, #420a68, #932667, #dd513a, #fca50a, #fcffa4); }
.plot { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; padding: 6px; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tall { max-height: 460px; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 15px; }
th, td { text-align: right; padding: 6px 12px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { position: sticky; top: 0; background: var(--card); font-weight: 600; cursor: pointer; user-select: none; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; } tr:last-child td { border-bottom: 0; }
tr.heldout td:nth-child(2) { color: var(--heldout); }
pre { margin: 0; padding: 16px 18px; font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
details summary { cursor: pointer; color: var(--soft); margin-bottom: 10px; }
.thumbnails { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 5px 28px; margin: 0; padding: 14px 18px;
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; font-variant-numeric: tabular-nums; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; }
li.error b { color: #dc2626; } li.warning b { color: var(--heldout); } .plot + .scroll { margin-top: 16px; }
ul { padding-left: 20px; margin: 0; } .notes { margin-top: 12px; font-size: 14px; } a { color: var(--train); }
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


def html_page(title: str, heading: str, subtitle: str, body: str) -> str:
    """A whole page that needs nothing from the network, plotly's script (some 5 MB) included.

    Args:
        title, heading, subtitle: plain text; body: HTML, with figures of ``plot``.
    """
    from plotly.offline import get_plotlyjs

    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<main>
<h1>{html.escape(heading)}</h1>
<p class="soft">{html.escape(subtitle)}</p>
{body}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def section(name: str, body: str, remark: str = "") -> str:
    """A heading, an HTML remark under it, and HTML."""
    remark = f'<p class="soft">{remark}</p>' if remark else ""
    return f"<section><h2>{name}</h2>{remark}{body}</section>\n"


def table(names: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] | None = None) -> str:
    """A table that a click on a column's name sorts; all plain text.

    Args:
        names: of the columns; rows: as many texts each; classes: the CSS class of each row, or None.
    """
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        f'<tr class="{name}">' + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row, name in zip(rows, classes or [""] * len(rows), strict=True)
    )
    return f'<div class="scroll tall"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def plot(figure, *, scroll_zoom: bool = False) -> str:
    """A plotly figure in its box; its script is the page's.

    ``scroll_zoom`` lets the wheel zoom instead of scroll, and shows plotly's buttons.
    """
    config = {"displaylogo": False, "displayModeBar": scroll_zoom, "scrollZoom": scroll_zoom}
    return f'<div class="plot">{figure.to_html(full_html=False, include_plotlyjs=False, config=config)}</div>'
