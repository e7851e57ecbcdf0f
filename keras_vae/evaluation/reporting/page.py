"""A report as one page of HTML that needs nothing but itself.

Floor 5.
"""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_vae.evaluation.reporting.contents import Report

__all__ = ["page_of"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 0 auto; padding: 1.5rem;
  max-width: 64rem; background: #fff; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; text-transform: capitalize; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .25rem 1rem .25rem 0; vertical-align: top;
  border-bottom: 1px solid #eee; overflow-wrap: anywhere; }
th { font-weight: 500; width: 14rem; }
td.value { white-space: nowrap; font-variant-numeric: tabular-nums; width: 12rem; }
td.meaning, .facts, figcaption { color: #666; }
figure { margin: 1.5rem 0 0; }
img { max-width: 100%; max-height: 34rem; height: auto; }
@media (max-width: 40rem) { td.meaning { display: none; } th { width: auto; } }
"""


def page_of(report: Report) -> str:
    """Return the page."""
    sections: dict[str, list[str]] = {}
    for measure in report.measures:
        sections.setdefault(measure.section, []).append(
            f'<tr><th scope="row">{_text(measure.name)}</th>'
            f'<td class="value">{_text(measure.text).replace("+-", "&plusmn;")}</td>'
            f'<td class="meaning">{_text(measure.meaning)}</td></tr>'
        )
    title = f"{report.model.get('class', 'Model')}: a report"
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="facts">{_facts(report.model)}<br>{_facts(report.settings)}</p>',
    ]
    pictured = [name.partition(":")[0] for name in report.pictures]
    first = [section for section in pictured if section not in sections]
    for section in dict.fromkeys([*first, *sections]):
        parts.append(f"<h2>{_text(section)}</h2>")
        if section in sections:
            parts.append(f"<table>{''.join(sections[section])}</table>")
        for name, picture in report.pictures.items():
            if name.partition(":")[0] == section:
                parts.append(_figure(name, picture))
    if report.left_out:
        rows = "".join(
            f'<tr><th scope="row">{_text(name)}</th><td>{_text(reason)}</td></tr>'
            for name, reason in report.left_out.items()
        )
        parts.append(f"<h2>Left out</h2><table>{rows}</table>")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>"
    )


def _figure(name: str, picture: bytes) -> str:
    data = base64.b64encode(picture).decode("ascii")
    return f'<figure><img alt="{_text(name)}" src="data:image/png;base64,{data}"></figure>'


def _facts(facts: Any) -> str:
    def said(value: Any) -> str:
        return _text(f"{value:,}" if isinstance(value, int) else value)

    return " &middot; ".join(
        f"{_text(name.replace('_', ' '))}: {said(value)}" for name, value in facts.items()
    )


def _text(value: Any) -> str:
    return html.escape(str(value))
