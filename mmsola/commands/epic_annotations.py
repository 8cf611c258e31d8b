r"""Make the annotation file and the list of classes of EPIC-KITCHENS-100's verbs or nouns.

mmsola epic-annotations data/epic_kitchens/annotations verb
mmsola epic-annotations data/epic_kitchens/annotations noun

The folder is a copy of the csv files of github.com/epic-kitchens/epic-kitchens-100-annotations.
Beside them are written epic_kitchens_100_verb.json and epic_kitchens_100_verb_classes.txt.
"""

import argparse
import json
from pathlib import Path

from mmsola.atomic import replacing
from mmsola.datasets.tables.epic_csv import CLASS_KINDS, annotate_epic_kitchens


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='the csv files')
    parser.add_argument('kind', choices=CLASS_KINDS)
    parser.add_argument('--out', type=Path, help='folder to write to; default that of the csv')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    found = annotate_epic_kitchens(args.folder, args.kind)
    out = args.out or args.folder
    for name, content in (
        (f'epic_kitchens_100_{args.kind}.json', json.dumps({'database': found.database})),
        (f'epic_kitchens_100_{args.kind}_classes.txt', '\n'.join(found.classes)),
    ):
        with replacing(out / name) as partial:
            partial.write_text(content + '\n', encoding='utf-8')
        print(f'written: {out / name}')
    for subset in ('training', 'validation'):
        entries = [entry for entry in found.database.values() if entry['subset'] == subset]
        segments = sum(len(entry['annotations']) for entry in entries)
        print(f'{subset}: {len(entries)} videos, {segments} segments')
    print(f'{len(found.classes)} classes, of which {found.unused} have no segment in training')
