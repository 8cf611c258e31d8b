"""Keep every k-th snippet of features."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('thin-features')
