"""Compare configs over paired seeds: mean difference, its 95 % interval, and what each costs."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('compare')
