"""Files that actions are looked for in."""

from __future__ import annotations

import json

import numpy as np

from mmsola.apis import inference_inputs
from mmsola.apis.inference_inputs import InputFiles
from mmsola.datasets.extraction_times import ExtractionTimes
from mmsola.datasets.snippet_times import SnippetTimeline


def test_the_facts_of_an_extraction_are_read_once_a_folder(tmp_path, monkeypatch):
    names = {}
    for folder, stride_frames in (('fine', 4), ('coarse', 8)):
        (tmp_path / folder).mkdir()
        facts = {'stride_frames': stride_frames, 'snippet_frames': 16, 'frame_interval': 1}
        (tmp_path / folder / '_extraction.json').write_text(json.dumps(facts))
        for i in range(3):
            names[f'{folder}_{i}'] = stride_frames
            np.save(tmp_path / folder / f'{folder}_{i}.npy', np.ones((5, 4), np.float32))
    opened = []

    def counted(folder):
        opened.append(folder)
        return ExtractionTimes(folder)

    monkeypatch.setattr(inference_inputs, 'ExtractionTimes', counted)
    files = [path for path in sorted(tmp_path.rglob('*.npy')) if path.parent.name == 'coarse']
    inputs = InputFiles([tmp_path / 'fine', *files], {'num_channels': 4})
    for name, stride_frames in names.items():
        timeline = inputs.timeline(name, SnippetTimeline())
        assert (timeline.stride_frames, timeline.window_frames) == (stride_frames, 16)
    assert sorted(opened) == [tmp_path / 'coarse', tmp_path / 'fine']
