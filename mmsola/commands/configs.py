"""List the configs that mmsola ships, by the names that every CONFIG and _base_ may be.

mmsola configs
mmsola configs 'sola_*demo'
"""

import argparse
from fnmatch import fnmatch

from mmsola.files.shipped_configs import config_folder, shipped_names


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'pattern', nargs='?', default='', help='part of a name, with * for any letters; default all'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    names = [name for name in shipped_names() if fnmatch(name, f'*{args.pattern}*')]
    if not names:
        raise SystemExit(
            f'{args.pattern}: no config has this in its name\n  expected: part of a name\n'
            '  fix: mmsola configs lists all'
        )
    print('\n'.join(names))
    print(f'{len(names)} configs in {config_folder()}')
