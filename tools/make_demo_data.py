"""Generate a small data set of snippet features with annotations."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('demo-data')
