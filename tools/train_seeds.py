"""Pretrain SoLa with several seeds and tabulate what it gains over features without it."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('train-seeds')
