"""Make isl_i3d of the test data of sign-segmentation-isl."""

import sys

from mmsola.console import run_command

if __name__ == '__main__':
    sys.argv.insert(1, 'isl_i3d')
    run_command('prepare')
