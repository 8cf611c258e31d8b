"""Write a checkpoint to give away: weights alone, the hash in its name."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('publish')
