"""Train what a config describes; the arguments are those of MMAction2's tools/train.py."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('train')
