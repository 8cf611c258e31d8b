"""Actions in videos and feature files: the same segments from either."""

import copy
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from generated_videos import write_sound, write_video
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_localizers import GTAD
from small_recognizers import recognizer, weights

from mmsola.apis.extraction import ExtractionError, extract_features
from mmsola.apis.inference import LocalizationInferencer
from mmsola.apis.inference_inputs import InferenceError
from mmsola.apis.localizer_inputs import LocalizerInputs
from mmsola.apis.manifest import sha256_of
from mmsola.apis.segment_classes import classified
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.snippet_times import TimelineError
from mmsola.datasets.videos.video_list import find_videos
from mmsola.engine.launch import build_runner
from mmsola.models.checkpoint_file import CheckpointError
from mmsola.models.encoders import EncoderError, SnippetEncoder
from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.submission import read_submission

REPOSITORY = Path(__file__).parents[1]
NAMES = ('short', 'zwei Wörter 東', 'long')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Videos, their features, and a BMN with SoLa that nobody trained."""
    root = tmp_path_factory.mktemp('inference')
    for name, frames in zip(NAMES, (30, 100, 200)):
        write_video(root / 'videos' / f'{name}.mp4', num_frames=frames, moving=True)
    cfg = recognizer()
    checkpoint = weights(cfg, root / 'i3d.pth')
    cfg.dump(root / 'i3d.py')
    encoder = SnippetEncoder(root / 'i3d.py', checkpoint, stride_frames=4)
    about = {
        'checkpoint': str(checkpoint),
        'checkpoint_sha256': sha256_of(checkpoint),
        'model': cfg.model.to_dict(),
    }
    extract_features(encoder, find_videos(root / 'videos'), root / 'features', about=about)
    database = {
        name: {
            'duration': frames / 10,
            'frame': frames,
            'fps': 10,
            'annotations': [{'segment': [1, 2], 'label': 'moving'}],
        }
        for name, frames in zip(NAMES, (30, 100, 200))
    }
    (root / 'annotations.json').write_text(json.dumps({'database': database}))
    bmn = localizer(root)
    bmn.dump(root / 'bmn.py')
    model = MODELS.build(bmn.model)
    torch.nn.init.constant_(model.neck.alpha, 0.5)
    torch.save({'state_dict': model.state_dict()}, root / 'bmn.pth')
    return root


def localizer(root: Path) -> Config:
    """BMN with SoLa over the folder of features."""
    init_default_scope('mmaction')
    torch.manual_seed(1)
    cfg = Config.fromfile(str(REPOSITORY / 'configs' / 'bmn' / 'sola_bmn_demo.py'))
    cfg.merge_from_dict(
        dict(
            model=dict(
                feat_dim=32,
                temporal_dim=16,
                hidden_dim_1d=16,
                hidden_dim_2d=8,
                hidden_dim_3d=16,
                neck=dict(in_channels=32, hidden_channels=8),
            ),
            work_dir=str(root / 'work'),
        )
    )
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.update(
            data_root='',
            ann_file=str(root / 'annotations.json'),
            data_prefix=dict(feature=str(root / 'features')),
            timeline=dict(stride_frames=4, window_frames=16),
            subset=None,
            group_field=None,
        )
    return cfg


@pytest.fixture(scope='module')
def inferencer(root):
    return LocalizationInferencer(
        root / 'bmn.py', root / 'bmn.pth', device='cpu', show_progress=False
    )


def of(result: dict) -> dict[str, list]:
    return {entry['video_name']: entry['segments'] for entry in result['predictions']}


def test_videos_features_and_the_test_of_the_config_give_the_same_segments(
    root, inferencer, tmp_path
):
    from_videos = inferencer(root / 'videos', pred_out_file=str(tmp_path / 'found.json'))
    assert list(of(from_videos)) == sorted(NAMES) and from_videos['failed'] == {}
    assert [round(p['duration_sec'], 2) for p in from_videos['predictions']] == [20, 3, 10]
    from_features = inferencer([root / 'features' / f'{name}.npy' for name in NAMES])
    assert list(of(from_features)) == list(NAMES)
    assert of(inferencer(root / 'features')) == of(from_features) == of(from_videos)

    cfg = localizer(root)
    cfg.launcher, cfg.load_from = 'none', str(root / 'bmn.pth')
    cfg.model.neck.init_cfg = None
    cfg.test_dataloader.batch_size = 1  # sums of a batch round otherwise
    cfg.test_evaluator.out_file = str(tmp_path / 'tested.json')
    build_runner(cfg).test()
    tested, found = (read_submission(tmp_path / f'{x}.json') for x in ('tested', 'found'))
    for name in NAMES:
        assert len(found[name].labels) > 3
        assert np.array_equal(found[name].segments, tested[name].segments)
        assert np.array_equal(found[name].scores, tested[name].scores)
        assert (np.diff(found[name].scores) <= 0).all()
        assert of(from_videos)[name][0]['segment'] == list(found[name].segments[0])


def whole(root, cfg, folder):
    """As the config is."""


def in_windows(root, cfg, folder):
    cfg.test_dataloader.dataset.update(
        type='SlidingWindowDataset', window=16, overlap=0.25, margin=1
    )


def without_stride(root, cfg, folder):
    """The times of snippets are read from the folder of features."""
    cfg.test_dataloader.dataset.timeline = {}


def of_streams(root, cfg, folder):
    for name in NAMES:
        array = np.load(root / 'features' / f'{name}.npy')
        for stream, part in (('rgb', array[:, :20]), ('flow', array[:, 20:])):
            (folder / stream).mkdir(exist_ok=True)
            np.save(folder / stream / f'{name}.npy', part)
    cfg.test_dataloader.dataset.feature = dict(streams=['rgb', 'flow'], num_channels=32)


def resized(root, cfg, folder):
    """Features share the part of the video that the annotations' feature_frame covers."""
    for name in NAMES:
        np.save(folder / f'{name}.npy', np.load(root / 'features' / f'{name}.npy'))
    cfg.test_dataloader.dataset.timeline = {}


@pytest.mark.parametrize('change', [whole, in_windows, without_stride, of_streams, resized])
def test_results_are_those_of_the_test_of_the_config(root, tmp_path, change):
    cfg, features = localizer(root), tmp_path / 'features'
    features.mkdir()
    change(root, cfg, features)
    if not any(features.iterdir()):
        features = root / 'features'
    database = json.loads((root / 'annotations.json').read_text())['database']
    for entry in database.values():
        entry.update(duration_second=entry['duration'], duration_frame=entry['frame'])
        entry['feature_frame'] = entry['frame'] - 4
    (tmp_path / 'annotations.json').write_text(json.dumps(database))
    cfg.test_dataloader.dataset.ann_file = str(tmp_path / 'annotations.json')
    cfg.test_dataloader.dataset.data_prefix.feature = str(features)
    inferencer = LocalizationInferencer(cfg, root / 'bmn.pth', device='cpu', show_progress=False)
    inferencer(
        features,
        ann_file=str(tmp_path / 'annotations.json'),
        pred_out_file=str(tmp_path / 'found.json'),
    )
    cfg.launcher, cfg.load_from, cfg.work_dir = 'none', str(root / 'bmn.pth'), str(tmp_path / 'w')
    cfg.model.neck.init_cfg = None
    cfg.test_dataloader.batch_size = 1
    cfg.test_evaluator.out_file = str(tmp_path / 'tested.json')
    build_runner(cfg).test()
    tested, found = (read_submission(tmp_path / f'{x}.json') for x in ('tested', 'found'))
    assert sorted(tested) == sorted(found) == sorted(NAMES)
    for name in NAMES:
        assert len(found[name].labels) > 3
        assert np.array_equal(found[name].segments, tested[name].segments)
        assert np.array_equal(found[name].scores, tested[name].scores)


@pytest.mark.cuda
def test_inference_on_the_gpu_finds_what_the_test_of_the_config_finds(root, tmp_path, device):
    inferencer = LocalizationInferencer(
        root / 'bmn.py', root / 'bmn.pth', device=str(device), show_progress=False
    )
    inferencer(root / 'features', pred_out_file=str(tmp_path / 'found.json'))
    cfg = localizer(root)
    cfg.launcher, cfg.load_from, cfg.work_dir = 'none', str(root / 'bmn.pth'), str(tmp_path / 'w')
    cfg.model.neck.init_cfg = None
    cfg.test_evaluator.out_file = str(tmp_path / 'tested.json')
    build_runner(cfg).test()
    tested, found = (read_submission(tmp_path / f'{x}.json') for x in ('tested', 'found'))
    for name in NAMES:
        # of a batch, and of a video alone: sums round otherwise, and near ones may change places
        np.testing.assert_allclose(found[name].scores, tested[name].scores, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found[name].segments[0], tested[name].segments[0], atol=1e-3)


_written: list[str] | None = None  # while files are watched; a hook cannot be taken away again


def _keep_written(event: str, arguments: tuple) -> None:
    if _written is None or event not in ('open', 'os.mkdir'):
        return
    flags = arguments[2] if event == 'open' else os.O_CREAT
    if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _written.append(str(arguments[0]))


def test_nothing_is_written_but_what_is_asked_for(root, inferencer, tmp_path):
    global _written
    sys.addaudithook(_keep_written)
    inferencer(root / 'features' / 'short.npy')  # that it passed the check is remembered once
    _written = []
    try:
        inferencer([root / 'videos' / 'long.mp4', root / 'features' / 'short.npy'])
        assert _written == []
        inferencer(root / 'videos' / 'short.mp4', pred_out_file=str(tmp_path / 'found.json'))
        assert _written and all(path.startswith(str(tmp_path)) for path in _written)
    finally:
        _written = None
    assert [path.name for path in tmp_path.iterdir()] == ['found.json']


@pytest.mark.parametrize('inputs, class_names', [('features', None), ('videos', ['a', 'b', 'c'])])
def test_features_are_forgotten_when_their_video_is_done(root, monkeypatch, inputs, class_names):
    """The memory that many videos take is that of the longest ones."""
    held, alive = [], []
    samples = LocalizerInputs.samples

    def watched(self, record, features, timeline):
        held.append(weakref.ref(features if features.base is None else features.base))
        alive.append(sum(ref() is not None for ref in held))
        return samples(self, record, features, timeline)

    monkeypatch.setattr(LocalizerInputs, 'samples', watched)
    inferencer = LocalizationInferencer(
        root / 'bmn.py',
        root / 'bmn.pth',
        class_names=class_names,
        device='cpu',
        show_progress=False,
    )
    assert len(of(inferencer(root / inputs))) == len(alive) == len(NAMES)
    assert alive == [1, 1, 1]


def test_a_folder_of_features_is_opened_once(root, inferencer, monkeypatch):
    """A store lists its whole folder: one for each of 2,000 files took a minute."""
    opened = []
    init = FeatureStore.__init__
    monkeypatch.setattr(
        FeatureStore, '__init__', lambda self, *a, **kw: (opened.append(a), init(self, *a, **kw))[1]
    )
    inferencer([root / 'features' / f'{name}.npy' for name in NAMES])
    assert len(opened) == 1


def test_streams_are_given_by_the_folder_that_holds_them(root, inferencer, tmp_path):
    for name in NAMES:
        array = np.load(root / 'features' / f'{name}.npy')
        for stream, part in (('rgb', array[:, :20]), ('flow', array[:, 20:])):
            (tmp_path / stream).mkdir(exist_ok=True)
            np.save(tmp_path / stream / f'{name}.npy', part)
    cfg = localizer(root)
    cfg.test_dataloader.dataset.feature = dict(streams=['rgb', 'flow'], num_channels=32)
    of_streams = LocalizationInferencer(cfg, root / 'bmn.pth', device='cpu', show_progress=False)
    annotations = str(root / 'annotations.json')
    found = of(of_streams(tmp_path, ann_file=annotations))
    assert found == of(inferencer(root / 'features', ann_file=annotations))
    with pytest.raises(InferenceError, match='name that folder'):
        of_streams(tmp_path / 'rgb' / 'long.npy')


def test_long_videos_are_looked_at_in_windows_and_merged(root):
    cfg = localizer(root)
    cfg.test_dataloader.dataset.update(type='SlidingWindowDataset', window=16, overlap=0.5)
    inferencer = LocalizationInferencer(cfg, root / 'bmn.pth', device='cpu', show_progress=False)
    (found,) = of(inferencer(root / 'videos' / 'long.mp4', batch_size=2)).values()
    assert max(entry['segment'][1] for entry in found) > 10  # a window alone is 6.4 s
    assert len(found) == 100
    ends = np.array([entry['segment'] for entry in found])
    assert ends.min() >= 0 and ends.max() <= 20.8


def test_gtad_localizes_a_long_video_in_windows(root, tmp_path):
    """As any localizer with a neck; the class is not named anywhere."""
    cfg = localizer(root)
    cfg.model = dict(**GTAD, neck=cfg.model.neck)
    cfg.model.update(feat_dim=32, temporal_dim=16)
    cfg.test_dataloader.dataset.update(type='SlidingWindowDataset', window=16, overlap=0.5)
    cfg.test_evaluator['merge'] = dict(alpha=0.46, tiou=0.0)
    model = MODELS.build(cfg.model)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'gtad.pth')
    inferencer = LocalizationInferencer(cfg, tmp_path / 'gtad.pth', device='cpu')
    (found,) = of(inferencer(root / 'videos' / 'long.mp4', batch_size=2)).values()
    ends = np.array([entry['segment'] for entry in found])
    assert len(found) == 100 and ends.min() >= 0 and 10 < ends.max() <= 20.8


def test_pictures_and_films_are_written_and_returned(root, inferencer, tmp_path):
    result = inferencer(
        [root / 'videos' / 'short.mp4', root / 'features' / 'zwei Wörter 東.npy'],
        ann_file=str(root / 'annotations.json'),
        vid_out_dir=str(tmp_path / 'seen'),
        video_out=True,
        return_vis=True,
        top_k=3,
    )
    written = sorted(path.name for path in (tmp_path / 'seen').iterdir())
    assert written == ['short.mp4', 'short.png', 'zwei Wörter 東.png']
    assert [picture.shape[2] for picture in result['visualization']] == [3, 3]
    with av.open(str(tmp_path / 'seen' / 'short.mp4')) as film:
        assert sum(1 for _ in film.decode(video=0)) == 30
    plain = inferencer(root / 'videos' / 'short.mp4', return_datasamples=True)
    assert isinstance(plain['predictions'][0]['segments'], LabelledSegments)
    assert plain['visualization'] == []


def test_what_cannot_be_decoded_is_listed_and_the_rest_is_found(root, inferencer, tmp_path):
    sound = write_sound(tmp_path / 'sound.mp4')
    result = inferencer([sound, root / 'videos' / 'short.mp4'])
    assert list(of(result)) == ['short'] and 'only sound' in result['failed']['sound']
    with pytest.raises(InferenceError, match='none of the inputs can be used:\n- .*only sound'):
        inferencer(sound)


def test_the_encoder_s_classifier_labels_segments(root, tmp_path):
    classes = ['jump', 'run', 'sit']
    plain = LocalizationInferencer(root / 'bmn.py', root / 'bmn.pth', device='cpu')
    naming = LocalizationInferencer(
        root / 'bmn.py', root / 'bmn.pth', class_names=classes, device='cpu'
    )
    video = root / 'videos' / 'long.mp4'
    (unnamed,), (named,) = (of(each(video)).values() for each in (plain, naming))
    assert {entry['label'] for entry in unnamed} == {'action'}
    assert {entry['label'] for entry in named} <= set(classes)
    scores = {tuple(entry['segment']): entry['score'] for entry in unnamed}
    for entry in named:
        share = entry['score'] / scores[tuple(entry['segment'])]
        assert share + 1e-6 >= 1 / 3 and share <= 1
    wrong = LocalizationInferencer(
        root / 'bmn.py', root / 'bmn.pth', class_names=['one', 'two'], device='cpu'
    )
    with pytest.raises(EncoderError, match='2 class names are given, the encoder tells 3'):
        wrong(video)


def test_a_segment_has_the_class_of_its_snippets():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]])
    found = LabelledSegments(
        np.array([[0.0, 2.0], [2.0, 4.0], [2.6, 2.7]]), ['', '', ''], np.array([0.5, 0.8, 1.0])
    )
    named = classified(found, np.array([0.5, 1.5, 2.5, 3.5]), scores, ['left', 'right'])
    assert named.labels == ['right', 'right', 'left']
    assert named.scores == pytest.approx([0.9, 0.8 * 0.85, 0.5 * 0.85])


def test_feature_files_of_elsewhere_need_their_frame_rate(root, inferencer, tmp_path):
    alone = tmp_path / 'alone'
    alone.mkdir()
    array = np.load(root / 'features' / 'long.npy')
    np.save(alone / 'long.npy', array)
    with pytest.raises(InferenceError, match=r'not known; expected long.json .* Give fps'):
        inferencer(alone)
    annotated = of(inferencer(alone, ann_file=str(root / 'annotations.json')))
    database = json.loads((root / 'annotations.json').read_text())['database']
    called = {f'v_{name}.mp4': entry for name, entry in database.items()}
    (tmp_path / 'called.json').write_text(json.dumps({'database': called}))
    assert of(inferencer(alone, ann_file=str(tmp_path / 'called.json'))) == annotated
    assert annotated == of(inferencer(root / 'features' / 'long.npy'))
    assert of(inferencer(alone, fps=10))['long'][0]['segment'][1] <= 20.8
    np.savetxt(alone / 'text.csv', array[:5], delimiter=',')
    assert list(of(inferencer(alone / 'text.csv', fps=10))) == ['text']


def test_inputs_and_settings_that_fit_nothing_say_why(root, inferencer, tmp_path):
    with pytest.raises(InferenceError, match='no such file or folder'):
        inferencer(tmp_path / 'nothing')
    with pytest.raises(InferenceError, match='no input was named'):
        inferencer([])
    (tmp_path / 'other').mkdir()
    twin = tmp_path / 'other' / 'short.mp4'
    twin.write_bytes(b'x')
    with pytest.raises(InferenceError, match="two inputs called 'short'"):
        inferencer([root / 'videos' / 'short.mp4', twin])
    with pytest.raises(InferenceError, match='set vid_out_dir'):
        inferencer(root / 'videos' / 'short.mp4', video_out=True)
    with pytest.raises(InferenceError, match='batch_size is 0; expected 1 or more'):
        inferencer(root / 'videos' / 'short.mp4', batch_size=0)
    with pytest.raises(InferenceError, match='no such config file'):
        LocalizationInferencer(tmp_path / 'no.py', root / 'bmn.pth')
    cfg = localizer(root)
    cfg.model.feat_dim = cfg.model.neck.in_channels = 40
    with pytest.raises(CheckpointError, match=r'of another shape: .* instead of'):
        LocalizationInferencer(cfg, root / 'bmn.pth', device='cpu')
    with pytest.raises(CheckpointError, match='does not fit'):
        LocalizationInferencer(root / 'bmn.py', root / 'i3d.pth', device='cpu')
    with pytest.raises(InferenceError, match='model is a Recognizer3D; expected a localizer'):
        LocalizationInferencer(root / 'i3d.py', root / 'i3d.pth', device='cpu')


def test_the_encoder_must_be_that_of_the_features(root, tmp_path):
    other = SnippetEncoder(root / 'i3d.py', root / 'i3d.pth', stride_frames=8)
    wrong = LocalizationInferencer(root / 'bmn.py', root / 'bmn.pth', other, device='cpu')
    with pytest.raises(InferenceError, match=r'\(4, 16\) frames, the encoder .* \(8, 16\)'):
        wrong(root / 'videos' / 'short.mp4')
    unknown = LocalizationInferencer(root / 'bmn.py', root / 'bmn.pth', tmp_path, device='cpu')
    with pytest.raises(ExtractionError, match='how these features were made is not known'):
        unknown(root / 'videos' / 'short.mp4')
    manifest = json.loads((root / 'features' / '_extraction.json').read_text())
    for change, message in (
        (dict(checkpoint=str(root / 'bmn.pth')), 'which is another file by now'),
        (dict(checkpoint='gone.pth'), 'which is not there any more'),
    ):
        (tmp_path / '_extraction.json').write_text(json.dumps({**manifest, **change}))
        with pytest.raises(ExtractionError, match=message):
            unknown(root / 'videos' / 'short.mp4')
    moved = LocalizationInferencer(
        root / 'bmn.py', root / 'bmn.pth', tmp_path, root / 'i3d.pth', device='cpu'
    )
    assert moved(root / 'videos' / 'short.mp4')['failed'] == {}


def test_features_that_fit_neither_the_localizer_nor_their_videos_are_refused(root, tmp_path):
    cfg = localizer(root)
    cfg.test_dataloader.dataset.feature = dict(num_channels=40)
    wide = LocalizationInferencer(cfg, root / 'bmn.pth', device='cpu', show_progress=False)
    with pytest.raises(InferenceError, match='features of 32 channels, the localizer .* from 40'):
        wide(root / 'videos' / 'short.mp4')
    with pytest.raises(FeatureError, match='has 32 channels'):
        wide(root / 'features' / 'short.npy')
    cfg = localizer(root)
    cfg.test_dataloader.dataset.timeline = dict(stride_frames=8, window_frames=16)
    coarse = LocalizationInferencer(cfg, root / 'bmn.pth', device='cpu', show_progress=False)
    with pytest.raises(TimelineError, match='extracted with stride_frames=4'):
        coarse(root / 'features' / 'long.npy')
    np.save(tmp_path / 'long.npy', np.load(root / 'features' / 'long.npy'))
    with pytest.raises(TimelineError, match='the inputs: the snippets of 1 of 1 videos do not fit'):
        coarse(tmp_path, ann_file=str(root / 'annotations.json'))
    cfg.test_dataloader.dataset.on_bad_timeline = 'warn'
    warned = LocalizationInferencer(cfg, root / 'bmn.pth', device='cpu', show_progress=False)
    assert list(of(warned(tmp_path, ann_file=str(root / 'annotations.json')))) == ['long']


def test_a_stock_config_of_resized_features_works(root, tmp_path):
    cfg = localizer(root)
    cfg.test_dataloader = copy.deepcopy(cfg.test_dataloader)
    cfg.test_dataloader.dataset = dict(type='ActivityNetDataset', ann_file='nowhere.json')
    inferencer = LocalizationInferencer(cfg, root / 'bmn.pth', device='cpu', show_progress=False)
    np.save(tmp_path / 'video.npy', np.random.default_rng(0).random((16, 32), np.float32))
    database = {'video': {'duration': 50, 'annotations': []}}
    (tmp_path / 'anno.json').write_text(json.dumps({'database': database}))
    found = inferencer(tmp_path / 'video.npy', ann_file=str(tmp_path / 'anno.json'))
    ends = np.array([entry['segment'] for entry in found['predictions'][0]['segments']])
    assert found['predictions'][0]['duration_sec'] == 50 and 25 < ends.max() <= 50


@pytest.mark.slow
def test_the_command_line(root, tmp_path):
    (tmp_path / 'classes.txt').write_text('jump\nrun\nsit\n')
    command = [sys.executable, REPOSITORY / 'tools' / 'infer.py', root / 'videos']
    command += ['--config', root / 'bmn.py', '--checkpoint', root / 'bmn.pth']
    command += ['--classes', tmp_path / 'classes.txt', '--out', tmp_path / 'out', '--video']
    job = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert job.returncode == 0, job.stderr
    assert 'results.json of 3 videos and a picture of each' in job.stdout
    assert sorted(read_submission(tmp_path / 'out' / 'results.json')) == sorted(NAMES)
    suffixes = sorted(path.suffix for path in (tmp_path / 'out').iterdir())
    assert suffixes == ['.json', *['.mp4'] * 3, *['.png'] * 3]
    command[2] = tmp_path / 'nothing'
    job = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert job.returncode == 1 and job.stderr.strip().splitlines()[-1].endswith('of either.')


# --- localizers that name what they find ----------------------------------------------------------


@pytest.fixture
def one_stage(root, tmp_path):
    """Config and checkpoint of an ActionFormer whose checkpoint has its classes."""
    cfg = Config.fromfile(str(REPOSITORY / 'configs' / 'actionformer' / 'actionformer_demo.py'))
    cfg.merge_from_dict(dict(model=dict(feat_dim=32, num_classes=2, channels=16)))
    cfg.model.test_cfg = dict(score_threshold=0.0, nms=dict(max_segments=7))
    cfg.test_dataloader.dataset.update(
        data_root='',
        ann_file=str(root / 'annotations.json'),
        data_prefix=dict(feature=str(root / 'features')),
        timeline=dict(stride_frames=4, window_frames=16),
        subset=None,
        group_field=None,
    )
    init_default_scope('mmaction')
    torch.manual_seed(1)
    meta = {'dataset_meta': {'classes': ['moving', 'standing']}}
    state = MODELS.build(cfg.model).state_dict()
    torch.save({'state_dict': state, 'meta': meta}, tmp_path / 'model.pth')
    return cfg, tmp_path / 'model.pth'


def test_a_localizer_with_classes_names_what_it_finds(root, one_stage, tmp_path):
    """By its checkpoint alone, from videos and from features, as in a test of the config."""
    cfg, checkpoint = one_stage
    inferencer = LocalizationInferencer(cfg, checkpoint, device='cpu', show_progress=False)
    found = of(inferencer(root / 'videos'))
    assert found == of(inferencer(root / 'features'))
    labels = {segment['label'] for segments in found.values() for segment in segments}
    assert labels == {'moving', 'standing'}
    duration_sec = dict(zip(NAMES, (3, 10, 20)))
    for name, segments in found.items():
        assert 0 < len(segments) <= 7
        times_sec = [at for segment in segments for at in segment['segment']]
        assert 0 <= min(times_sec) <= max(times_sec) <= duration_sec[name]
    cfg = copy.deepcopy(cfg)
    cfg.launcher, cfg.load_from, cfg.work_dir = 'none', str(checkpoint), str(tmp_path / 'work')
    cfg.test_evaluator.out_file = str(tmp_path / 'tested.json')
    assert 'loc/mAP' in build_runner(cfg).test()
    tested = read_submission(tmp_path / 'tested.json')
    for name, segments in found.items():
        assert [segment['label'] for segment in segments] == tested[name].labels


def test_a_checkpoint_of_fewer_classes_than_the_config_is_refused(one_stage):
    cfg, checkpoint = one_stage
    content = torch.load(checkpoint)
    content['meta']['dataset_meta']['classes'] = ['moving']
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match=r'1 classes \(.moving.\), but num_classes=2'):
        LocalizationInferencer(cfg, checkpoint, device='cpu', show_progress=False)
