"""Generate untrimmed videos with annotations, and trimmed clips of the same classes."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('video-world')
