"""Measure a checkpoint as a config says; arguments as in MMAction2's tools/test.py."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('test')
