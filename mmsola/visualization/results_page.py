"""One page of tables and pictures, in one file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmsola.atomic import replacing


def write_results_page(
    out: str | Path,
    title: str,
    paragraphs: Sequence[str],
    tables: Sequence[Sequence[Sequence[str]]],
    pictures: Mapping[str, str | Path],
    notes: str = '',
) -> None:
    """Write an HTML page.

    Args:
        out: The file.
        title: Its heading.
        paragraphs: Text below it.
        tables: Rows of cells; the first row is the heading.
        pictures: Caption to png file.
        notes: Commands and versions, shown as they are.

    Raises:
        FileNotFoundError: A picture is missing.
    """
    environment = Environment(
        loader=PackageLoader('mmsola.visualization', '.'),
        autoescape=True,
        undefined=StrictUndefined,
    )
    page = environment.get_template('results_page.html.jinja').render(
        title=title,
        paragraphs=paragraphs,
        tables=tables,
        pictures=[
            {'caption': caption, 'png': base64.b64encode(Path(file).read_bytes()).decode()}
            for caption, file in pictures.items()
        ],
        notes=notes,
    )
    with replacing(out) as partial:
        partial.write_text(page, encoding='utf-8')


def read_markdown_tables(text: str) -> list[list[list[str]]]:
    """The tables of a markdown text, as rows of cells."""
    tables: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith('|'):
            cells = [cell.strip() for cell in line.strip('|').split('|')]
            if not all(set(cell) <= set('-: ') and cell for cell in cells):
                tables[-1].append(cells)
        elif tables[-1]:
            tables.append([])
    return [table for table in tables if table]
