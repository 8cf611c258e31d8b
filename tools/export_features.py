"""Write SoLa features of a whole data set, as localization toolboxes read them."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('export')
