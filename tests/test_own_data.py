"""docs/own_data.md can be followed: its files are written and its commands run, top to bottom."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from shipped_configs import ROOT, shipped_configs
from warm_processes import run_tool

from mmsola.datasets.generated.shape_actions import CLASSES

PAGE = ROOT / 'docs' / 'own_data.md'

# What is done other than the page says, so that it takes a minute and not a quarter of an hour.
# Text of the page -> text that stands for it:
SMALLER = {
    'mmsola video-world data/video_world': 'mmsola video-world data/video_world --num-training 12 '
    '--num-validation 1 --clips-per-class 3 --seconds 15 20',
    'work_dirs/encoder/epoch_36.pth': 'work_dirs/encoder/epoch_1.pth',
    'work_dirs/sola_actionformer_mine/epoch_30.pth': 'work_dirs/sola_actionformer_mine/epoch_3.pth',
    'batch_size=32': 'batch_size=4',
}
# File of the page -> lines that are added to its end:
SHORTER = {
    'mine/encoder.py': """
train_dataloader = dict(dataset=dict(indices=24))
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(interval=1))
""",
    'mine/sola_pretrain_mine.py': """
train_cfg = dict(max_epochs=3, val_interval=1)
custom_hooks = [
    *_base_.custom_hooks[:-1],
    dict(type='GateWarmupHook', num_steps=2, until=9.99, needed_steps=6),
]
""",
    'mine/sola_actionformer_mine.py': """
train_cfg = dict(max_epochs=3, val_interval=1)
""",
}


@dataclass
class Step:
    """A file to write (``text``), or a command with the lines that the page shows of its output."""

    file: str = ''
    text: str = ''
    command: str = ''
    shown: list[str] = field(default_factory=list)


def steps_of(page: str) -> list[Step]:
    """The page's blocks in their order.

    The line before a ``python`` block ends in the file's name in backticks and a colon. In a
    ``console`` block a command follows ``$``, and may go on in the next line after a backslash.
    """
    steps = []
    for before, kind, block in re.findall(r'([^\n]*)\n\n```(\w+)\n(.*?)^```$', page, re.S | re.M):
        if kind == 'python':
            named = re.search(r'`([^`]+)`:$', before)
            assert named, f'a block of Python without the name of its file: {before}'
            steps.append(Step(file=named[1], text=block))
        elif kind == 'console':
            for part in re.split(r'^\$ ', block, flags=re.M)[1:]:
                command, *shown = part.replace('\\\n', '').splitlines()
                steps.append(Step(command=command, shown=shown))
    return steps


# what differs from run to run: durations, numbers, names of classes
VARYING = (
    r'(?<![\d.])\d+ (?:h|min|s)\b(?: \d+ (?:min|s)\b)?',
    r'-?\d+(?:[.,]\d+)*',
    '|'.join(CLASSES),
)


def pattern_of(shown: str) -> str:
    """A regular expression of a line of the page; ``...`` is anything."""
    pieces = re.split('(' + '|'.join([r'\.\.\.', r'\s+', *VARYING]) + ')', shown)
    return ''.join(_pattern_of_piece(piece) for piece in pieces)


def _pattern_of_piece(piece: str) -> str:
    if piece == '...':
        return '.*'
    if piece.isspace():
        return r'\s+'
    masks = [mask for mask in VARYING if re.fullmatch(mask, piece)]
    return f'(?:{masks[0]})' if masks else re.escape(piece)


def assert_printed(step: Step, output: str) -> None:
    """The lines that the page shows are in the output, in their order."""
    log_prefix = re.compile(r'^\d\d/\d\d \d\d:\d\d:\d\d - mmengine - \w+ - ', re.M)
    printed = iter(log_prefix.sub('', output).splitlines())
    for line in step.shown:
        if line != '...':
            pattern = re.compile(pattern_of(line) + r'\s*')
            assert any(pattern.fullmatch(other) for other in printed), (
                f'{step.command}\nprints no more: {line}\nbut:\n{output[-3000:]}'
            )


def run(folder: Path, step: Step) -> str:
    """Run a command of the page, which must succeed; what it prints."""
    program, *arguments = shlex.split(step.command)
    if program == 'mmsola':
        script = folder.parent / 'mmsola_command.py'  # as an installation writes it
        script.write_text('from mmsola.console import main\n\nmain()\n')
        done = run_tool(folder, script, *arguments)
    else:
        program = sys.executable if program == 'python' else program
        done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f'{step.command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}'
    return done.stdout


def read_page() -> str:
    page = PAGE.read_text()
    for text, smaller in SMALLER.items():
        assert text in page
        page = page.replace(text, smaller)
    return page


@pytest.mark.slow
def test_the_page_is_followed_word_by_word(tmp_path):
    folder = tmp_path / 'empty'
    folder.mkdir()
    page = read_page()
    for step in steps_of(page):
        if step.file:
            text = step.text + SHORTER.get(step.file, '')
            text = text.replace(
                "'mmsola::", f"'{ROOT}/configs/"
            )  # until `mmsola::` is found: delete
            (folder / step.file).write_text(text)
        else:
            assert_printed(step, run(folder, step))

    table = re.search(r'```csv\n(.*?)```', page, re.S)[1].splitlines()
    made = (folder / 'mine' / 'segments.csv').read_text().splitlines()
    assert all(re.fullmatch(pattern_of(line), other) for line, other in zip(table, made))
    for name in set(re.findall(r'\b(?:mine|data|work_dirs)/[\w./*-]*\w', page)):
        assert list(folder.glob(name)), f'the page names {name}, and nothing on it makes it'


def test_the_page_says_how_it_is_shortened():
    """The tables above go with the page, and lines are compared in their words."""
    files = {step.file for step in steps_of(read_page())}
    assert files.issuperset(SHORTER)
    same = re.fullmatch(
        pattern_of('12 videos of 1 min 3 s, swing_sideways ...'), '4 videos of 51 s, stretch_tall x'
    )
    assert same and not re.fullmatch(pattern_of('12 videos found'), '12 films found')


@pytest.mark.skipif(shutil.which('git') is None, reason='git says which configs are shipped')
def test_a_config_of_ones_own_beside_the_shipped_ones_is_left_alone(tmp_path):
    (tmp_path / 'configs' / 'sola').mkdir(parents=True)
    for name in ('shipped', 'stray'):
        (tmp_path / 'configs' / 'sola' / f'{name}.py').write_text('')
    subprocess.run(['git', 'init', '-q'], cwd=tmp_path, check=True)
    subprocess.run(['git', 'add', 'configs/sola/shipped.py'], cwd=tmp_path, check=True)
    assert list(shipped_configs(tmp_path)) == ['shipped']
