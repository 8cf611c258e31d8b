"""Bring a published checkpoint of another project under our names."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('convert')
