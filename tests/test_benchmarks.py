"""The benchmark runs from end to end and prints what it writes. Nothing is timed here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / 'tools' / 'benchmarks' / 'run.py'
ROWS = ['step', 'bmn', 'neck', 'others', 'proposals', 'metrics', 'csv', 'export', 'scale', 'hacs']


@pytest.mark.slow
def test_every_row_has_both_sides_in_the_table_and_in_the_json(tmp_path):
    out = tmp_path / 'benchmarks.json'
    done = subprocess.run(
        [sys.executable, RUN, '--tiny', '--repeats', '1', '--out', out, '--rows', *ROWS],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    content = json.loads(out.read_text())
    assert content['machine']['threads'] >= 1
    assert list(dict.fromkeys(row['name'] for row in content['rows'])) == ROWS
    for row in content['rows']:
        assert len(row['before']) == len(row['after']) >= 1
        assert all(map(math.isfinite, row['before'] + row['after'])), row['what']
        assert f'| {row["what"]} | ' in done.stdout


def test_without_a_gpu_the_row_that_needs_one_says_so():
    done = subprocess.run(
        [sys.executable, RUN, '--rows', 'hacs'],
        capture_output=True,
        text=True,
        env={'PATH': '', 'CUDA_VISIBLE_DEVICES': ''},
    )
    assert done.returncode == 1 and 'takes a GPU' in done.stderr
