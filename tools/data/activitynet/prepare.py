"""Make one annotation file a subset of ActivityNet-1.3's annotations as BSN publishes them."""

import sys

from mmsola.console import run_command

if __name__ == '__main__':
    sys.argv.insert(1, 'activitynet')
    run_command('prepare')
