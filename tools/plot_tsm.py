"""Draw the temporal self-similarity of one video's features, before and after SoLa."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('plot-tsm')
