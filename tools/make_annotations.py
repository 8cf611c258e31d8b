"""Make an annotation file of a table of segments and a folder of videos."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('annotations')
