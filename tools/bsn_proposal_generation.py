"""BSN's middle step: what TEM dumped becomes proposals, and features of them for PEM."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('bsn-proposals')
