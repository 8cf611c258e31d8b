"""Make the annotation file and the list of classes of EPIC-KITCHENS-100's verbs or nouns."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('epic-annotations')
