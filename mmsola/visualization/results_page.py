"""One page of tables and pictures, in one file that needs nothing beside it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmsola.atomic import replacing

# Each sentence is on the page if its term is.
_EXPLANATIONS = (
    (r'\bloc/', 'loc/… are in percent, and differences between them in percentage points.'),
    (r'\b(probe|tsm)/', 'probe/… and tsm/… are not in percent; the greatest value is 1.'),
    (r'\bseconds\b', 'seconds are wall-clock time of the whole process.'),
    (r'\bMB\b', 'MB are 2^20 bytes of main memory.'),
    (
        r'\btIoU\b',
        'tIoU (temporal intersection over union) beside a proposal compares it with the annotated '
        'segment: the time that both cover, divided by the time that either covers; 1 is the best.',
    ),
)


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first of which is the heading, and the text above them."""

    rows: Sequence[Sequence[str]]
    caption: str = ''


def write_results_page(
    out: str | Path,
    title: str,
    paragraphs: Sequence[str],
    tables: Sequence[Table],
    pictures: Sequence[tuple[str, str | Path]],
    notes: str = '',
) -> None:
    """Write an HTML page; units and tIoU are explained on it where they occur.

    Args:
        out: The file.
        title: Its heading.
        paragraphs: Text below it.
        tables: As of ``read_markdown_tables``.
        pictures: Pairs of a caption and a png file.
        notes: Commands and versions, shown as they are.

    Raises:
        FileNotFoundError: A picture is missing.
    """
    environment = Environment(
        loader=PackageLoader('mmsola.visualization', '.'),
        autoescape=True,
        undefined=StrictUndefined,
    )
    texts = [title, *paragraphs, *(caption for caption, _ in pictures)]
    texts += [text for table in tables for row in table.rows for text in row]
    texts += [table.caption for table in tables]
    page = environment.get_template('results_page.html.jinja').render(
        title=title,
        paragraphs=paragraphs,
        tables=tables,
        explanations=explanations_for(texts),
        pictures=[
            {'caption': caption, 'png': base64.b64encode(Path(file).read_bytes()).decode()}
            for caption, file in pictures
        ],
        notes=notes,
    )
    with replacing(out) as partial:
        partial.write_text(page, encoding='utf-8')


def explanations_for(texts: Iterable[str]) -> list[str]:
    """A sentence for each unit or term that occurs in the texts."""
    text = '\n'.join(texts)
    return [sentence for pattern, sentence in _EXPLANATIONS if re.search(pattern, text)]


def read_markdown_tables(text: str) -> list[Table]:
    """The tables of a markdown text; the lines directly above a table are its caption."""
    tables = []
    rows: list[list[str]] = []
    above: list[str] = []
    for line in [*text.splitlines(), '']:
        if line.startswith('|'):
            cells = [cell.strip() for cell in line.strip('|').split('|')]
            if not all(set(cell) <= set('-: ') and cell for cell in cells):
                rows.append(cells)
            continue
        if rows:
            tables.append(Table(rows, ' '.join(above)))
            rows, above = [], []
        above = [*above, line.strip()] if line.strip() else []
    return tables
