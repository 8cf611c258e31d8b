"""Make a data set of the configs of the files that others publish."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('prepare')
