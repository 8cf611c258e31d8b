"""The command ``mmsola``: each tool is a subcommand, ``mmsola train CONFIG``.

A file in ``tools/`` is the same subcommand, for those who work in a clone.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from mmsola.engine.command_line import run
from mmsola.version import __version__

#: What each subcommand does, by what it is for; its code is in the module of its name in
#: mmsola/commands.
GROUPS = {
    'data': {
        'annotations': 'make an annotation file from a table of segments',
        'epic-annotations': 'make an annotation file from the csv files of EPIC-KITCHENS-100',
        'prepare': 'convert published files into a data set that the configs read',
        'extract': 'extract snippet features from videos',
        'thin-features': 'keep every k-th snippet of features',
        'demo-data': 'generate small features to try everything with',
        'video-world': 'generate small videos to try everything with',
    },
    'training': {
        'train': 'train the model of a config',
        'test': 'test a checkpoint',
        'train-seeds': 'pretrain SoLa with several seeds, and print what it gains',
        'compare': 'compare configs over paired seeds',
        'study': 'compare arms over sets, localizers and shares of labels',
        'bsn-proposals': 'make the proposals of BSN, between TEM and PEM',
    },
    'results': {
        'infer': 'find actions in videos or in files of features',
        'classify': 'write class scores of whole videos',
        'eval': 'measure a file of results: AR@AN, AUC, mAP',
        'plot-timelines': 'draw the results of several methods on some videos',
        'plot-tsm': 'draw self-similarity before and after SoLa',
        'results-page': 'write tables and pictures on one HTML page',
    },
    'files': {
        'export': 'write SoLa features for other toolboxes',
        'publish': 'write a checkpoint for publication',
        'convert': "convert a checkpoint of the authors' code",
        'configs': 'list the configs that mmsola ships',
        'env': 'print versions and devices, for a bug report',
    },
}
COMMANDS = {name: what for group in GROUPS.values() for name, what in group.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the subcommand that the first argument names."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments else '--help'
    if name in ('-h', '--help'):
        run(lambda: print(_usage()))
    elif name == '--version':
        print(f'mmsola {__version__}')
    elif name in COMMANDS:
        sys.argv[:] = [f'mmsola {name}', *arguments[1:]]
        run_command(name)
    else:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f' Did you mean mmsola {near[0]}?' if near else ''
        sys.exit(f'mmsola {name}: there is no such command.{meant}\n\n{_usage()}')


def run_command(name: str) -> None:
    """Run a subcommand with the arguments in ``sys.argv``."""
    module = import_module(f'mmsola.commands.{name.replace("-", "_")}')
    run(module.main, *getattr(module, 'EXPECTED_ERRORS', ()))


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = ['usage: mmsola COMMAND ...']
    for group, commands in GROUPS.items():
        lines += ['', f'{group}:']
        lines += [f'  {name:{width}}  {what}' for name, what in commands.items()]
    lines += [
        '',
        'mmsola COMMAND --help shows the arguments, and an example.',
        'CONFIG is a file, or mmsola::<method>/<config>.py: one that mmsola configs lists.',
    ]
    return '\n'.join(lines)
