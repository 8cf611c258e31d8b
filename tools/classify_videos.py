"""Learn which classes happen in whole videos, and write their scores for the videos to test."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('classify')
