"""Train and tabulate a study: arms over sets, seeds and shares of the labels."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('study')
