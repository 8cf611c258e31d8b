"""Find actions in videos or in files of snippet features."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('infer')
