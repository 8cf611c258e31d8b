"""Print versions, processors and devices, for a report of a problem."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('env')
