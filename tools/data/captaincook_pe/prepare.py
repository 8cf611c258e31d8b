"""Make captaincook_pe of the features of aml-2025-mistake-detection and CaptainCook4D's steps."""

import sys

from mmsola.console import run_command

if __name__ == '__main__':
    sys.argv.insert(1, 'captaincook_pe')
    run_command('prepare')
