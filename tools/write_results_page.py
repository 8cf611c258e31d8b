"""Put what tools/compare.py printed, and pictures, on one HTML page."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('results-page')
