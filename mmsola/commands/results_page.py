r"""Put what mmsola compare printed, and pictures, on one HTML page.

The lines directly above a table, such as those of the seeds, become its caption.

mmsola results-page results.html --title 'My videos' --tables work_dirs/compare/table.md \
    --picture work_dirs/compare/compare.png 'Differences of each seed, their mean and interval'
"""

import argparse
import platform
from importlib.metadata import version
from pathlib import Path

from mmsola.version import label
from mmsola.visualization.results_page import read_markdown_tables, write_results_page


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', help='the page, .html')
    parser.add_argument('--title', default='Results')
    parser.add_argument('--text', action='append', default=[], help='a paragraph; repeatable')
    parser.add_argument('--tables', help='text file with markdown tables')
    parser.add_argument(
        '--picture',
        nargs=2,
        action='append',
        default=[],
        metavar=('FILE', 'CAPTION'),
        help='png and what it shows; repeatable',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    packages = ('torch', 'mmengine', 'mmaction2', 'numpy')
    write_results_page(
        args.out,
        args.title,
        args.text,
        read_markdown_tables(Path(args.tables).read_text('utf-8')) if args.tables else [],
        [(caption, file) for file, caption in args.picture],
        f'page written by {label()}, Python {platform.python_version()}, {platform.machine()}, '
        + ', '.join(f'{name} {version(name)}' for name in packages),
    )
    print(f'written: {args.out}')
