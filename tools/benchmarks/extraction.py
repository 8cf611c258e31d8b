"""Features of an hour of generated video: MMAction2's tool against ours, as whole processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import torch
from measure import Row, side_by_side
from mmaction.registry import MODELS
from mmengine.config import Config

from mmsola.datasets.generated.video_world import render_untrimmed

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = REPOSITORY / 'configs' / 'recognition' / 'recognition_video_world.py'
FPS, STRIDE, INTERVAL = 16, 8, 2


def extraction(repeats: int, tiny: bool) -> list[Row]:
    """Twelve videos of five minutes, and one of an hour; random weights do as well as others."""
    minutes, count = (0.2, 2) if tiny else (5, 12)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i in range(count):
            video = folder / 'many' / f'{i}.mp4'
            video.parent.mkdir(exist_ok=True)
            render_untrimmed(video, round(minutes * 60 * FPS), seed=i)
        (folder / 'one').mkdir()
        render_untrimmed(folder / 'one' / '0.mp4', round(minutes * count * 60 * FPS))
        model = MODELS.build(Config.fromfile(str(CONFIG)).model)
        torch.save({'state_dict': model.state_dict()}, folder / 'weights.pth')

        rows = []
        for which, videos in (('many', count), ('one', 1)):
            length = minutes * count / videos
            what = f'features of {videos} video{"s" * (videos > 1)} of {length:g} minutes'
            names = dict(before_is='MMAction2', after_is='ours')
            time_row = Row(what, 's', **names)
            memory_row = Row(f'{what}: peak memory of the process', 'MB', **names)
            stock: list[float] = []
            ours: list[float] = []

            def run_stock() -> float:
                seconds, megabytes = _run(_stock_command(folder, which))  # noqa: B023
                stock.append(megabytes)  # noqa: B023
                return seconds

            def run_ours() -> float:
                seconds, megabytes = _run(_our_command(folder, which))  # noqa: B023
                ours.append(megabytes)  # noqa: B023
                return seconds

            side_by_side(time_row, run_stock, run_ours, min(repeats, 3), warm_up=False)
            memory_row.before, memory_row.after = stock, ours
            rows += [time_row, memory_row]
        return rows


def _stock_command(folder: Path, which: str) -> list[str]:
    """MMAction2's tool in its mode for long videos, on a stack that mmsola has fixed."""
    videos = folder / which
    listed = folder / f'{which}.txt'
    listed.write_text(''.join(f'{path.name} 0\n' for path in sorted(videos.iterdir())))
    spec = find_spec('mmaction')
    assert spec is not None and spec.origin is not None
    tool = Path(spec.origin).parent / '.mim' / 'tools' / 'misc' / 'clip_feature_extraction.py'
    code = 'import runpy, sys, mmsola; sys.argv = sys.argv[1:]; '
    code += 'runpy.run_path(sys.argv[0], run_name="__main__")'
    arguments = [tool, CONFIG, folder / 'weights.pth', f'{folder / "stock"}/', '--video-list']
    arguments += [listed, '--video-root', videos, '--long-video-mode']
    arguments += ['--clip-interval', STRIDE, '--frame-interval', INTERVAL]
    return [sys.executable, '-c', code, *map(str, arguments)]


def _our_command(folder: Path, which: str) -> list[str]:
    arguments = [REPOSITORY / 'tools' / 'extract_features.py', CONFIG, folder / 'weights.pth']
    arguments += [folder / which, folder / 'ours', '--stride', STRIDE]
    return [sys.executable, *map(str, arguments), '--overwrite']


def _run(command: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of a process."""
    began = time.perf_counter()
    with tempfile.TemporaryFile('w+') as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        peak_kib = 0
        while process.poll() is None:
            # what the system tells at the end would count this process in, too
            with contextlib.suppress(OSError):
                for line in Path(f'/proc/{process.pid}/status').read_text().splitlines():
                    if line.startswith('VmHWM:'):
                        peak_kib = max(peak_kib, int(line.split()[1]))
            time.sleep(0.05)
        seconds = time.perf_counter() - began
        if process.returncode:
            log.seek(0)
            raise SystemExit(f'{" ".join(command)} failed:\n{log.read()[-2000:]}')
    return seconds, peak_kib * 1024 / 1e6
