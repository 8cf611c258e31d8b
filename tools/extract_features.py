"""Snippet features of videos, by any recognizer of MMAction2 as frozen encoder."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('extract')
