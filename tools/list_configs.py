"""List the configs that mmsola ships."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('configs')
