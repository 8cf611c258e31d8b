"""Measure a submission json against an annotation file: AR@AN, AUC and mAP."""

from mmsola.console import run_command

if __name__ == '__main__':
    run_command('eval')
