r"""Old and new side by side in one process: ratios with their spread, as a table and as json.

Every row measures the plain way (MMAction2's code, or ours without its fast path) and ours in
turns. Nothing here is a test: that both give the same numbers is tested in tests/.

    python tools/benchmarks/run.py                       # all rows but those of the GPU
    python tools/benchmarks/run.py --rows bmn metrics
    python tools/benchmarks/run.py --rows hacs           # 150 epochs at HACS' scale; needs a GPU
    python tools/benchmarks/run.py --rows hacs --tiny    # the same road in a few seconds
"""

from __future__ import annotations

import mmsola  # noqa: F401  before MMAction2, which it makes work

# isort: split
import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable

import evaluation
import extraction
import features
import gtad
import localizers
import measure
import one_stage
import pretraining
import scale
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmsola.atomic import replacing

#: Each makes its rows, given the number of repeats and whether to take shapes that prove nothing.
ROWS: dict[str, Callable[[int, bool], list[measure.Row]]] = {
    'step': pretraining.step,
    'waiting': pretraining.waiting,
    'bmn': localizers.bmn,
    'neck': localizers.neck,
    'others': localizers.others,
    'proposals': localizers.proposals,
    'gtad': gtad.gtad,
    'one_stage': one_stage.one_stage,
    'one_stage_neck': one_stage.one_stage_neck,
    'metrics': evaluation.metrics,
    'csv': features.csv,
    'export': features.export,
    'extraction': extraction.extraction,
    'scale': scale.growth,
    'hacs': scale.hacs,
}
HEADER = ('what', 'before', 'now', 'ratio [least, greatest]', 'must (aim)')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = [name for name in ROWS if name != 'hacs']
    parser.add_argument(
        '--rows', nargs='+', choices=list(ROWS), default=default, help='default: all but hacs'
    )
    parser.add_argument('--repeats', type=int, default=5, help='measurements of each side')
    parser.add_argument('--tiny', action='store_true', help='tiny shapes: does it run at all?')
    parser.add_argument('--out', default='work_dirs/benchmarks.json', help='json with every number')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.repeats < 1:
        raise SystemExit(f'--repeats takes 1 or more, got {args.repeats}.')
    measure.only_trying_out = args.tiny
    init_default_scope('mmaction')
    MMLogger.get_instance('benchmarks', log_level='WARNING')
    machine = measure.machine()
    print(' '.join(f'{key}={value}' for key, value in machine.items() if value is not None))
    print('\n| ' + ' | '.join(HEADER) + ' |\n' + '| --- ' * len(HEADER) + '|', flush=True)
    rows = []
    for name in args.rows:
        began = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):  # MMEngine logs to stdout, which has the table
            measured = ROWS[name](args.repeats, args.tiny)
        for row in measured:
            print('| ' + ' | '.join(row.cells()) + ' |', flush=True)
            rows.append({'name': name, 'device': measure.DEVICE.type, **vars(row)})
        rows[-1]['row_took_sec'] = time.perf_counter() - began
        with replacing(args.out) as partial:
            partial.write_text(json.dumps({'machine': machine, 'rows': rows}, indent=2) + '\n')
    print(f'\nEvery number: {args.out}')


if __name__ == '__main__':
    main()
