"""Features of a frozen recognizer: MMAction2's own, whole or not there, however computed."""

import copy
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_videos import damage, write_sound, write_video
from mmaction.models.heads import FeatureHead
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import Compose
from small_recognizers import BACKBONES, recognizer, weights

from mmsola.apis.extraction import MANIFEST, ExtractionError, extract_features
from mmsola.apis.video_encoding import EncodedSnippets, whole_videos
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.features.feature_writer import FeatureWriter
from mmsola.datasets.videos import snippet_stream
from mmsola.datasets.videos.snippet_stream import SnippetStream
from mmsola.datasets.videos.video_facts import VideoFacts
from mmsola.datasets.videos.video_list import find_videos
from mmsola.models.checkpoint_file import CheckpointError
from mmsola.models.encoders import EncoderError, SnippetEncoder

TOOL = Path(__file__).parents[1] / 'tools' / 'extract_features.py'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A folder with three videos and a small recognizer."""
    root = tmp_path_factory.mktemp('extraction')
    write_video(root / 'videos' / 'short.mp4', num_frames=9, moving=True)
    write_video(root / 'videos' / 'zwei Wörter 東.mp4', num_frames=120, moving=True)
    write_video(root / 'videos' / 'sub' / 'odd.mkv', num_frames=61, size=(47, 71), codec='ffv1')
    cfg = recognizer()
    cfg.dump(root / 'i3d.py')
    weights(cfg, root / 'i3d.pth')
    return root


@pytest.fixture(scope='module')
def encoder(root):
    return SnippetEncoder(root / 'i3d.py', root / 'i3d.pth', stride_frames=4)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.mark.parametrize('name', list(BACKBONES))
def test_features_are_those_of_mmaction2_snippet_by_snippet(root, tmp_path, name):
    cfg = recognizer(name)
    checkpoint = weights(cfg, tmp_path / 'weights.pth')
    is_2d = cfg.model.type == 'Recognizer2D'
    encoder = SnippetEncoder(cfg, checkpoint, frame_interval=2 if is_2d else None, stride_frames=40)
    path = root / 'videos' / 'zwei Wörter 東.mp4'
    extract_features(encoder, {'video': path}, tmp_path / 'out', batch_size=2)
    features = np.load(tmp_path / 'out' / 'video.npy')

    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(checkpoint)['state_dict'])
    kind = {'SlowFast': 'slowfast', 'TSM': 'tsm'}.get(name)
    model.cls_head = FeatureHead(backbone_name=kind, num_segments=8, average_clips=None)
    pipeline = Compose(cfg.val_dataloader.dataset.pipeline[2:])
    assert len(features) == (120 - 16) // 40 + 1
    scale = float(np.abs(features).max())
    for k, feature in enumerate(features):
        reader = Compose([dict(type='DecordInit')])({'filename': str(path)})
        reader.update(encoder.clips, frame_inds=40 * k + np.arange(8) * 2, modality='RGB')
        sample = pipeline(reader)
        with torch.no_grad():
            expected = model.test_step(
                {'inputs': [sample['inputs']], 'data_samples': [sample['data_samples']]}
            )
        assert feature == pytest.approx(np.asarray(expected[0]).ravel(), abs=1e-5 * scale)
    assert np.ptp(features, axis=0).max() > 1e-3 * scale  # of a moving picture


def test_a_feature_store_reads_it_and_the_manifest_says_how_it_was_made(root, encoder, tmp_path):
    videos = find_videos(root / 'videos')
    total = extract_features(encoder, videos, tmp_path / 'out', about={'checkpoint_sha256': 'abc'})
    assert (total['written'], total['kept'], total['failed']) == (3, 0, {})
    store = FeatureStore(tmp_path / 'out')
    store.check()
    assert store.names() == ['short', 'sub/odd', 'zwei Wörter 東']
    assert store.shape('short') == (1, 32) and store.shape('zwei Wörter 東') == (27, 32)
    facts = json.loads((tmp_path / 'out' / 'sub' / 'odd.json').read_text())
    assert facts['num_frames'] == 61 and facts['fps'] == pytest.approx(10)
    assert facts['num_snippets'] == len(store.read('sub/odd')) and not facts['is_variable']
    manifest = json.loads((tmp_path / 'out' / MANIFEST).read_text())
    assert manifest['complete'] and manifest['num_videos'] == 3
    assert (manifest['stride_frames'], manifest['window_frames']) == (4, 16)
    assert manifest['checkpoint_sha256'] == 'abc'


def test_a_feature_depends_on_its_snippet_alone(root, encoder, tmp_path):
    videos = find_videos(root / 'videos')
    extract_features(encoder, videos, tmp_path / 'all', batch_size=7)
    for name, path in videos.items():
        extract_features(encoder, {name: path}, tmp_path / 'one', batch_size=7, overwrite=True)
        one = (tmp_path / 'one' / f'{name}.npy').read_bytes()
        assert one == (tmp_path / 'all' / f'{name}.npy').read_bytes()
    extract_features(encoder, videos, tmp_path / 'workers', batch_size=7, num_workers=2)
    assert files(tmp_path / 'workers') == files(tmp_path / 'all')


def test_an_extraction_that_was_stopped_ends_as_one_that_was_not(root, encoder, tmp_path):
    videos = find_videos(root / 'videos')
    about = {'model': {'kernel': (1, 3, 3)}}
    extract_features(encoder, videos, tmp_path / 'straight', batch_size=4, about=about)

    class Stopped(Exception):
        pass

    class Stopping:
        def __init__(self, batches):
            self.batches = batches

        def __getattr__(self, name):
            return getattr(encoder, name)

        def __call__(self, inputs):
            self.batches -= 1
            if self.batches < 0:
                raise Stopped
            return encoder(inputs)

    for batches in (2, 5):
        with pytest.raises(Stopped):
            extract_features(
                Stopping(batches), videos, tmp_path / 'stopped', batch_size=4, about=about
            )
        left = list((tmp_path / 'stopped').rglob('.partial-*'))
        assert (
            left == [] and not json.loads((tmp_path / 'stopped' / MANIFEST).read_text())['complete']
        )
    (tmp_path / 'stopped' / '.partial-1-ab-short.npy').write_bytes(b'of a kill')
    total = extract_features(encoder, videos, tmp_path / 'stopped', batch_size=4, about=about)
    assert total['kept'] and total['written']
    assert files(tmp_path / 'stopped') == files(tmp_path / 'straight')
    assert extract_features(encoder, videos, tmp_path / 'stopped', about=about)['kept'] == 3


def test_videos_that_cannot_be_decoded_are_skipped_and_listed(root, encoder, tmp_path):
    damage(root / 'videos' / 'zwei Wörter 東.mp4', tmp_path / 'broken.mp4', range(5, 95))
    videos = {
        'broken': tmp_path / 'broken.mp4',
        'sound': write_sound(tmp_path / 'sound.mp4'),
        'good': root / 'videos' / 'zwei Wörter 東.mp4',
        'nowhere': tmp_path / 'nowhere.mp4',
    }
    total = extract_features(encoder, videos, tmp_path / 'out', batch_size=3)
    assert total['written'] == 1 and sorted(total['failed']) == ['broken', 'nowhere', 'sound']
    assert total['failed'] == json.loads((tmp_path / 'out' / MANIFEST).read_text())['failed']
    assert 'cannot be decoded' in total['failed']['broken']
    extract_features(encoder, {'good': videos['good']}, tmp_path / 'alone', batch_size=3)
    assert set(files(tmp_path / 'out')) == {'good.npy', 'good.json', MANIFEST}
    good = (tmp_path / 'out' / 'good.npy').read_bytes()
    assert good == (tmp_path / 'alone' / 'good.npy').read_bytes()
    # once it is fixed, the next call extracts it
    (tmp_path / 'broken.mp4').write_bytes(videos['good'].read_bytes())
    total = extract_features(encoder, videos, tmp_path / 'out', batch_size=3)
    assert (total['written'], total['kept'], len(total['failed'])) == (1, 1, 2)


def test_lost_frames_are_counted_beside_the_features(root, encoder, tmp_path, log_lines):
    damage(root / 'videos' / 'zwei Wörter 東.mp4', tmp_path / 'a.mp4', [40, 41])
    total = extract_features(encoder, {'a': tmp_path / 'a.mp4'}, tmp_path / 'out', batch_size=3)
    assert total['lost'] == {'a': 2} and not total['failed']
    facts = json.loads((tmp_path / 'out' / 'a.json').read_text())
    assert facts['lost_frames'] == 2 and facts['num_frames'] == 120
    assert any('In 1 videos frames cannot be decoded' in x and 'a (2)' in x for x in log_lines)


def test_frames_that_snippets_share_are_resized_once_and_then_forgotten(root, encoder, monkeypatch):
    monkeypatch.setattr(snippet_stream, 'CHUNK_SNIPPETS', 4)
    resized, held = [], []
    stream = SnippetStream(
        {'video': root / 'videos' / 'zwei Wörter 東.mp4'},
        encoder.sampling,
        encoder.frame_pipeline,
        encoder.snippet_pipeline,
        encoder.clips,
    )
    views = stream._views

    def watched(frames):
        resized.append(len(frames))
        held.append(len(frames))
        return views(frames)

    stream._views = watched
    chunks = list(stream)
    unique = np.unique(encoder.sampling.frames(120))
    assert sum(resized) == len(unique) < 27 * 8
    assert max(held) <= 4 * 8 and [len(chunk.inputs) for chunk in chunks] == [4] * 6 + [3]


def test_other_settings_and_other_files_are_not_mixed(root, encoder, tmp_path):
    videos = {'short': root / 'videos' / 'short.mp4'}
    (tmp_path / 'notes').mkdir()
    (tmp_path / 'notes' / 'mine.txt').write_text('precious')
    with pytest.raises(ExtractionError, match='exists already and is no extraction'):
        extract_features(encoder, videos, tmp_path / 'notes', overwrite=True)
    out = tmp_path / 'out'
    extract_features(encoder, videos, out)
    with pytest.raises(ExtractionError, match='fps was None, is 5'):
        extract_features(encoder, videos, out, fps=5)
    other = SnippetEncoder(root / 'i3d.py', root / 'i3d.pth', stride_frames=8)
    with pytest.raises(ExtractionError, match='stride_frames was 4, is 8'):
        extract_features(other, videos, out)
    before = (out / 'short.npy').read_bytes()
    (out / 'notes.json').write_text('precious')
    extract_features(encoder, videos, out, fps=5, overwrite=True)
    assert (out / 'short.npy').read_bytes() != before
    assert (out / 'notes.json').read_text() == 'precious'
    with pytest.raises(ExtractionError, match="a video is called '_extraction'"):
        extract_features(encoder, {'_extraction': videos['short']}, tmp_path / 'x')
    with pytest.raises(ExtractionError, match='batch_size at least 1'):
        extract_features(encoder, videos, tmp_path / 'x', batch_size=0)


def test_a_full_disk_is_reported_and_leaves_nothing_half_written(root, encoder, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, limits[1]))
    try:
        with pytest.raises(ExtractionError, match='no space left .* run the same command again'):
            extract_features(
                encoder, {'v': root / 'videos' / 'zwei Wörter 東.mp4'}, tmp_path / 'out'
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(files(tmp_path / 'out')) == [MANIFEST]


def test_a_feature_that_is_no_number_stops(tmp_path):
    writer = FeatureWriter(tmp_path / 'a.npy', 2, 3, 'float16')
    writer.add(np.ones((1, 3), np.float32))
    with pytest.raises(FeatureError, match='snippets 1 to 1 have features that are not finite'):
        writer.add(np.full((1, 3), 1e6, np.float32))
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_pieces_of_videos_become_whole_videos():
    def piece(name, *values):
        facts = VideoFacts(3, 12, 10.0, 1.2, False)
        return EncodedSnippets(name, facts, np.array(values, np.float32)[:, None])

    failed = EncodedSnippets('b', failure='is cut off')
    pieces = [piece('a', 0), piece('b', 5, 6), piece('a', 1), failed, piece('a', 2)]
    first, *others = whole_videos([*pieces, piece('c', 7, 8, 9)])
    assert first == failed
    assert [(video.name, video.features.ravel().tolist()) for video in others] == [
        ('a', [0, 1, 2]),
        ('c', [7, 8, 9]),
    ]
    with pytest.raises(FeatureError, match='a: snippets 1 to 2 have features that are not finite'):
        list(whole_videos([piece('a', 0), piece('a', 1, np.nan)]))


def test_a_checkpoint_that_does_not_fit_names_what_does_not(root, tmp_path):
    state = torch.load(root / 'i3d.pth')['state_dict']
    first, *_, last = (key for key in state if key.startswith('backbone.'))
    for change, message in (
        ({first: None}, f'missing: {first}'),
        ({first: torch.zeros(2, 2)}, r'of another shape: .* \(2, 2\) instead of'),
        ({'backbone.layer9.weight': torch.zeros(1)}, 'left over: backbone.layer9.weight'),
    ):
        changed = {k: v for k, v in {**state, **change}.items() if v is not None}
        torch.save({'state_dict': changed}, tmp_path / 'changed.pth')
        with pytest.raises(CheckpointError, match=message):
            SnippetEncoder(root / 'i3d.py', tmp_path / 'changed.pth')
    (tmp_path / 'text.pth').write_text('no checkpoint')
    with pytest.raises(CheckpointError, match='not a checkpoint that can be read safely'):
        SnippetEncoder(root / 'i3d.py', tmp_path / 'text.pth')


def test_a_classifier_of_other_classes_does_not_matter(root, encoder, tmp_path):
    state = torch.load(root / 'i3d.pth')['state_dict']
    state['cls_head.fc_cls.weight'] = torch.zeros(7, 32)
    torch.save(state, tmp_path / 'other.pth')
    other = SnippetEncoder(root / 'i3d.py', tmp_path / 'other.pth', stride_frames=4)
    inputs = torch.randint(0, 255, (2, 1, 3, 8, 32, 32), dtype=torch.uint8)
    assert torch.equal(other(inputs), encoder(inputs))
    assert encoder.classifies and not other.classifies
    features, scores = encoder.with_scores(inputs)
    assert torch.equal(features, encoder(inputs))
    assert scores.shape == (2, 3) and scores.sum(1) == pytest.approx(1)
    with pytest.raises(EncoderError, match='has no classifier of its own'):
        other.with_scores(inputs)


def test_crops_are_averaged(root, encoder):
    cfg = Config.fromfile(str(root / 'i3d.py'))
    cfg.val_dataloader.dataset.pipeline[4] = dict(type='ThreeCrop', crop_size=32)
    cfg.val_dataloader.dataset.pipeline[3] = dict(type='Resize', scale=(-1, 32))
    three = SnippetEncoder(cfg, root / 'i3d.pth', stride_frames=40)
    stream = SnippetStream(
        {'v': root / 'videos' / 'zwei Wörter 東.mp4'},
        three.sampling,
        three.frame_pipeline,
        three.snippet_pipeline,
        three.clips,
    )
    (chunk,) = stream
    assert chunk.inputs.shape[1] == 3
    apart = torch.stack([encoder(chunk.inputs[:, i : i + 1]) for i in range(3)]).mean(0)
    assert three(chunk.inputs).numpy() == pytest.approx(apart.numpy(), abs=1e-5)


def test_sizes_are_options(root):
    sized = SnippetEncoder(root / 'i3d.py', root / 'i3d.pth', short_side=50, crop_size=24)
    assert [step.get('scale', step.get('crop_size')) for step in sized.frame_pipeline] == [
        (-1, 50),
        24,
    ]


def test_configs_that_are_no_encoder_say_why(root, tmp_path):
    cfg = Config.fromfile(str(root / 'i3d.py'))
    bmn = Config(dict(model=dict(type='BMN')))
    with pytest.raises(EncoderError, match='its model is a BMN'):
        SnippetEncoder(bmn, root / 'i3d.pth')
    for key, value, message in (
        ('val_dataloader', None, 'has no pipeline of a val_dataloader or test_dataloader'),
        ('model.type', 'Recognizer2D', 'shapes frames as'),
    ):
        changed = copy.deepcopy(cfg)
        changed.merge_from_dict({key: value})
        with pytest.raises(EncoderError, match=message):
            SnippetEncoder(changed, root / 'i3d.pth', frame_interval=1)
    no_crop = copy.deepcopy(cfg)
    no_crop.val_dataloader.dataset.pipeline.pop(4)
    with pytest.raises(EncoderError, match='fix: leave --crop-size out'):
        SnippetEncoder(no_crop, root / 'i3d.pth', crop_size=32)
    no_sampler = copy.deepcopy(cfg)
    no_sampler.val_dataloader.dataset.pipeline.pop(1)
    with pytest.raises(EncoderError, match='fix: give --snippet-frames'):
        SnippetEncoder(no_sampler, root / 'i3d.pth')
    tsm = recognizer('TSM')
    with pytest.raises(EncoderError, match='fix: give --frame-interval'):
        SnippetEncoder(tsm, root / 'i3d.pth')
    with pytest.raises(EncoderError, match='shifts among 8 frames'):
        SnippetEncoder(tsm, root / 'i3d.pth', snippet_frames=4, frame_interval=1)


@pytest.mark.slow
def test_two_processes_write_what_one_writes(root, tmp_path):
    arguments = [root / 'i3d.py', root / 'i3d.pth', root / 'videos']
    (root / 'videos' / 'empty.mp4').write_bytes(b'')
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    jobs = {}
    for name, launcher in (
        ('one', [sys.executable]),
        ('two', [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2']),
    ):
        launch = [] if name == 'one' else ['--standalone']
        command = [*launcher, *launch, TOOL, *arguments, tmp_path / name, '--stride', '4']
        command += ['--batch-size', '4'] + ([] if name == 'one' else ['--launcher', 'pytorch'])
        jobs[name] = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, env=env, timeout=300
        )
        assert jobs[name].returncode == 0, jobs[name].stderr
        assert '3 videos written' in jobs[name].stdout and '1 failed' in jobs[name].stdout
        assert 'empty.mp4: is empty (0 bytes)' in jobs[name].stderr
        assert 'timeline=dict(stride_frames=4, window_frames=16)' in jobs[name].stdout
    assert files(tmp_path / 'one') == files(tmp_path / 'two')
    command = list(map(str, [sys.executable, TOOL, *arguments, tmp_path / 'two', '--stride', '4']))
    again = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert '0 videos written' in again.stdout and '3 were there already, 1 failed' in again.stdout
    (root / 'videos' / 'empty.mp4').unlink()
