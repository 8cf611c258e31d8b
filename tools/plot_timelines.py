"""Draw annotated segments against the best proposals of one or several methods."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('plot-timelines')
