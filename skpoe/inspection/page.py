"""Pieces of a page of HTML that needs no script, no network and no other file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --faint: #666666;
  --line: #d5d5d5; --mark: #0072B21f; --link: #005a8f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #111111;
  --faint: #a0a0a0; --line: #3a3a3a; --mark: #56B4E933; --link: #7cc4ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
a { color: var(--link); }
p, li { max-width: 45rem; overflow-wrap: anywhere; }
nav ol { padding-left: 1.5rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0;
  border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td { overflow-wrap: break-word; max-width: 24rem; }
tr.mark td { background: var(--mark); }
code { font: .85rem ui-monospace, monospace; }
.note { color: var(--faint); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .75rem;
  margin: 1rem 0; padding: 0; }
.facts div { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .75rem; }
.facts dt { color: var(--faint); font-size: .85rem; }
.facts dd { margin: 0; font-size: 1.2rem; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
figcaption { color: var(--faint); font-size: .9rem; max-width: 45rem; }
@media print { nav { display: none; } section { break-inside: avoid-page; } }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{lead}
</header>
<nav aria-label="Contents">
<ol>
{contents}
</ol>
</nav>
<main>
{sections}
</main>
</body>
</html>
"""
# a figure is drawn once for each: what is before "dark" is for light pages
_STYLES = {"light": ["default"], "dark": ["default", "dark_background"]}


class Section(NamedTuple):
    """A part of the page.

    Parameters
    ----------
    name : str
        Where links lead.
    title : str
        Plain text.
    body : str
        HTML.
    """

    name: str
    title: str
    body: str


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Put a page together; title is text, lead is HTML."""
    contents = "\n".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in sections)
    parts = "\n".join(
        f'<section id="{s.name}">\n<h2>{escape(s.title)}</h2>\n{s.body}\n</section>'
        for s in sections
    )
    return _PAGE.format(
        title=escape(title), style=_STYLE, lead=lead, contents=contents, sections=parts
    )


def escape(text: Any) -> str:
    """Make a text of anything that means nothing in HTML."""
    return html.escape(str(text))


def paragraph(text: str, *, note: bool = False) -> str:
    """Make a paragraph of plain text."""
    kind = ' class="note"' if note else ""
    return f"<p{kind}>{escape(text)}</p>"


def facts(pairs: dict[str, Any]) -> str:
    """Make a row of small boxes: what, and how much."""
    boxes = (
        f"<div><dt>{escape(k)}</dt><dd>{escape(number(v))}</dd></div>" for k, v in pairs.items()
    )
    return f'<dl class="facts">{"".join(boxes)}</dl>'


def table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], marked: Sequence[bool] | None = None
) -> str:
    """Make a table of texts and numbers; marked rows stand out."""
    rows = list(rows)
    numeric = [all(_is_number(row[j]) for row in rows) and bool(rows) for j in range(len(header))]
    kind = [' class="number"' if is_number else "" for is_number in numeric]
    head = "".join(f"<th{k}>{escape(h)}</th>" for h, k in zip(header, kind, strict=True))
    lines = []
    for i, row in enumerate(rows):
        mark = ' class="mark"' if marked is not None and marked[i] else ""
        cells = (f"<td{k}>{escape(number(x))}</td>" for x, k in zip(row, kind, strict=True))
        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")
    body = "\n".join(lines)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def number(value: Any) -> str:
    """Say a number in few digits; nothing where it is NaN; a text as it is."""
    if isinstance(value, str) or not _is_number(value):
        return str(value)
    if value is None or value != value:
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _is_number(value: Any) -> bool:
    is_text = isinstance(value, (str, bool))
    return value is None or (not is_text and hasattr(value, "__float__"))


def figure(
    draw: Callable[[Any], Any],
    alt: str,
    caption: str = "",
    size: tuple[float, float] = (6.4, 4.0),
) -> str:
    """Draw on axes, for light and for dark pages.

    Parameters
    ----------
    draw : callable
        Takes matplotlib Axes; called twice.
    alt : str
        What the picture shows, for those who cannot see it.
    caption : str, default=""
    size : tuple of float
        Inches.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    sources = {}
    for name, styles in _STYLES.items():
        with style.context(styles):
            canvas = Figure(figsize=size, layout="constrained")
            draw(canvas.add_subplot())
            file = io.BytesIO()
            canvas.savefig(
                file, format="png", dpi=120, transparent=True, metadata={"Software": None}
            )
        sources[name] = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure><picture><source srcset="{sources["dark"]}" '
        f'media="(prefers-color-scheme: dark)">'
        f'<img src="{sources["light"]}" alt="{escape(alt)}" width="{size[0] * 96:.0f}" '
        f'height="{size[1] * 96:.0f}"></picture>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
