"""An encoder trained along with its localizer: it begins with what extracted features would be."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from generated_videos import damage, write_video
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from small_localizers import ACTIONFORMER
from small_recognizers import BACKBONES, recognizer, weights

from mmsola.apis.extraction import extract_features
from mmsola.datasets import snippet_clip_dataset
from mmsola.datasets.label_share import share_of_videos
from mmsola.datasets.videos import snippet_clips
from mmsola.datasets.videos.video import VideoError
from mmsola.datasets.videos.video_list import find_videos
from mmsola.engine.launch import build_runner
from mmsola.models.checkpoint_file import CheckpointError
from mmsola.models.encoders import EncoderError, SnippetEncoder

CONFIG = Path(__file__).parents[1] / 'configs' / 'bmn' / 'finetune_bmn_video_world.py'
NUM_FRAMES = {'train_0': 64, 'train_1': 90, 'val/0': 41}
SAMPLING = dict(snippet_frames=8, frame_interval=2, stride_frames=8)
PIPELINE = Config.fromfile(CONFIG).videos.pipeline
BMN = dict(
    type='BMN',
    temporal_dim=16,
    boundary_ratio=0.5,
    num_samples=4,
    num_samples_per_bin=2,
    feat_dim=32,
    hidden_dim_1d=16,
    hidden_dim_2d=8,
    hidden_dim_3d=16,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.5,
    soft_nms_high_threshold=0.9,
    post_process_top_k=10,
)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Two training videos, one validation video, and a small recognizer's weights."""
    root = tmp_path_factory.mktemp('end_to_end')
    database = {}
    for name, num_frames in NUM_FRAMES.items():
        write_video(root / 'videos' / f'{name}.mp4', num_frames, moving=True)
        database[name] = dict(
            duration=num_frames / 10,
            frame=num_frames,
            fps=10,
            subset=name[:-2],
            annotations=[dict(segment=[0.5, 2.5], label='go'), dict(segment=[3, 4], label='stop')],
        )
    (root / 'annotations.json').write_text(json.dumps(dict(database=database)))
    weights(recognizer(), root / 'i3d.pth')
    return root


@pytest.fixture
def dataset(root):
    def build(name='I3D', **options):
        """The training videos, framed as the recognizer is validated."""
        cfg = recognizer(name)
        steps = cfg.val_dataloader.dataset.pipeline
        pipeline = copy.deepcopy(PIPELINE)
        pipeline[0].input_format = 'NCHW' if cfg.model.type == 'Recognizer2D' else 'NCTHW'
        settings = dict(
            type='SnippetClipDataset',
            data_root=str(root),
            ann_file='annotations.json',
            data_prefix=dict(video='videos'),
            subset='train',
            sampling=SAMPLING,
            frame_pipeline=[s for s in steps if s.type in ('Resize', 'CenterCrop')],
            pipeline=pipeline,
        )
        return DATASETS.build({**settings, **options})

    return build


@pytest.fixture
def localizer(root):
    def build(name='I3D', checkpoint=None, **options):
        """An end-to-end BMN, the same one each time, with its encoder's weights loaded."""
        torch.manual_seed(1)
        model = MODELS.build(
            dict(
                type='EndToEndLocalizer',
                encoder=recognizer(name).model,
                encoder_checkpoint=str(checkpoint or root / 'i3d.pth'),
                localizer={**BMN, 'feat_dim': BACKBONES[name][2]},
                **options,
            )
        )
        model.init_weights()
        return model

    return build


def batch_of(dataset):
    return pseudo_collate([dataset[i] for i in range(len(dataset))])


def loss_and_gradients(model, dataset):
    torch.manual_seed(2)  # BMN's loss draws proposals
    data = model.train().data_preprocessor(batch_of(dataset), True)
    loss = model(**data, mode='loss')['loss']
    loss.backward()
    return loss.item(), {k: p.grad for k, p in model.named_parameters() if p.grad is not None}


def step(model, dataset):
    """One optimizer step; which weights and statistics it changed."""
    before = {k: v.clone() for k, v in model.state_dict().items()}
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    model.train().train_step(batch_of(dataset), wrapper)
    return {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}


# --- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize('cache', [False, True])
@pytest.mark.parametrize('name', ['I3D', 'TSN'])
def test_items_are_the_frames_of_all_snippets(dataset, name, cache):
    clips = dataset(name, cache=cache)
    assert len(clips) == 2
    item = clips[1]
    # 90 frames, windows of 16 at a stride of 8
    shape = (10, 3, 8, 32, 32) if name == 'I3D' else (10, 8, 3, 32, 32)
    assert item['inputs'].dtype == torch.uint8 and item['inputs'].shape == shape
    # of two snippets that overlap by half, the later frames of one are the earlier of the other
    frames = item['inputs'] if name == 'TSN' else item['inputs'].transpose(1, 2)
    assert torch.equal(frames[:-1, 4:], frames[1:, :4])
    assert not torch.equal(frames[0, 0], frames[0, 1])


def test_a_localizer_is_told_the_same_as_with_extracted_features(root, dataset, tmp_path):
    encoder = SnippetEncoder(recognizer(), root / 'i3d.pth', stride_frames=8)
    extract_features(encoder, find_videos(root / 'videos'), tmp_path)
    features = DATASETS.build(
        dict(
            type='SnippetFeatureDataset',
            ann_file=str(root / 'annotations.json'),
            data_prefix=dict(feature=str(tmp_path)),
            timeline=dict(stride_frames=8, window_frames=16),
            subset='train',
            pipeline=[
                dict(type='LoadSnippetSequence'),
                dict(type='GenerateSnippetLabels'),
                {**PIPELINE[-1], 'type': 'PackSnippetInputs'},
            ],
        )
    )
    clips = dataset()
    assert len(features) == len(clips) == 2
    for i in range(2):
        expected, found = features[i]['data_samples'], clips[i]['data_samples']
        assert found.metainfo == expected.metainfo and 'window_sec' in found.metainfo
        assert torch.equal(found.gt_instances.gt_bbox, expected.gt_instances.gt_bbox)
        expected, found = features.get_data_info(i), clips.get_data_info(i)
        assert set(expected) - set(found) == {'feature_path', 'feature_store'}
        assert set(found) - set(expected) == {'filename', 'snippet_clips'}
        for key in set(found) & set(expected) - {'sample_idx'}:
            assert np.array_equal(found[key], expected[key]), key


def test_a_share_of_the_videos_is_that_of_their_features(dataset):
    everything = dataset().video_names()
    assert dataset(label_share=0.5).video_names() == [
        name for name in everything if name in share_of_videos(everything, 0.5)
    ]
    assert len(everything) > 1


def test_videos_that_nobody_annotated_are_not_trained_on(root, dataset, tmp_path, log_lines):
    annotations = json.loads((root / 'annotations.json').read_text())
    del annotations['database']['train_0']['annotations']
    (tmp_path / 'some.json').write_text(json.dumps(annotations))
    some = dataset(ann_file=str(tmp_path / 'some.json'))
    assert [some.get_data_info(i)['video_name'] for i in range(len(some))] == ['train_1']
    assert any('1 of 2 videos are not annotated and left out' in line for line in log_lines)
    assert len(dataset(ann_file=str(tmp_path / 'some.json'), test_mode=True)) == 2


def test_the_rate_of_the_file_stands_for_one_that_is_not_annotated(root, dataset, tmp_path):
    annotations = json.loads((root / 'annotations.json').read_text())
    for video in annotations['database'].values():
        del video['fps'], video['frame']
    (tmp_path / 'no_fps.json').write_text(json.dumps(annotations))
    found, expected = dataset(ann_file=str(tmp_path / 'no_fps.json')), dataset()
    for key in ('snippet_centres_sec', 'covered_sec'):
        assert found.get_data_info(0)[key] == pytest.approx(expected.get_data_info(0)[key])
    # brought to half the rate, a video has half the frames and snippets of twice the length
    slow = dataset(fps=5).get_data_info(1)
    assert slow['num_snippets'] == (45 - 16) // 8 + 1
    assert slow['snippet_centres_sec'][:2] == pytest.approx([1.6, 3.2])


def test_a_cached_video_is_decoded_once_and_each_frame_kept_once(dataset, monkeypatch, log_lines):
    decoded = []
    views = snippet_clips.frame_views
    monkeypatch.setattr(
        snippet_clips,
        'frame_views',
        lambda frames, pipeline: decoded.append(len(frames)) or views(frames, pipeline),
    )
    plain, cached = dataset(), dataset(cache=True)
    num_unique = sum(len(np.unique(cached.sampling.frames(n))) for n in (64, 90))
    assert sum(decoded) == num_unique < (7 + 10) * 8
    items = [cached[i]['inputs'] for i in (0, 1, 0, 1)]
    copied = copy.deepcopy(cached)
    assert copied.clips is cached.clips
    assert sum(decoded) == num_unique
    for i, item in enumerate(items):
        assert torch.equal(item, plain[i % 2]['inputs'])
    assert sum(decoded) == 3 * num_unique
    num_mb = num_unique * 32 * 32 * 3 / 1e6
    assert any(f'frames of 2 videos are kept in {num_mb:.0f} MB' in line for line in log_lines)


def test_bad_videos_stop_or_are_counted(root, dataset, tmp_path, log_lines):
    (tmp_path / 'videos').mkdir()
    good = (root / 'videos' / 'train_0.mp4').read_bytes()
    (tmp_path / 'videos' / 'train_0.mp4').write_bytes(good)
    source = root / 'videos' / 'train_1.mp4'
    with av.open(str(source)) as container:
        num_packets = sum(1 for p in container.demux(container.streams.video[0]) if p.size)
    damage(source, tmp_path / 'videos' / 'train_1.mp4', range(2, num_packets))
    data = dict(data_prefix=dict(video=str(tmp_path / 'videos')))

    with pytest.raises(VideoError, match='train_1.mp4: .* of its .* frames cannot be decoded'):
        dataset(**data)[1]
    with pytest.raises(VideoError, match='train_1.mp4: .* of its .* frames cannot be decoded'):
        dataset(**data, cache=True)
    for cache in (False, True):
        kept = dataset(**data, cache=cache, on_bad='skip')
        assert len(kept) == 1
        assert kept.get_data_info(0)['video_name'] == 'train_0'
    assert sum('1 of 2 videos cannot be decoded' in line for line in log_lines) == 2

    (tmp_path / 'videos' / 'train_1.mp4').unlink()
    with pytest.raises(VideoError, match='train_1: no such file'):
        dataset(**data)
    assert len(dataset(**data, on_bad='skip')) == 1
    (tmp_path / 'videos' / 'train_0.mp4').write_text('no video')
    with pytest.raises(VideoError, match='2 of 2 videos cannot be decoded'):
        dataset(**data, on_bad='skip')


def test_data_that_cannot_be_right_is_refused(dataset, tmp_path, monkeypatch):
    with pytest.raises(VideoError, match='nowhere: no video found'):
        dataset(data_prefix=dict(video=str(tmp_path / 'nowhere')))
    with pytest.raises(ValueError, match='data_prefix=dict.video=.* names the folder'):
        dataset(data_prefix=dict(feature='features'))
    with pytest.raises(ValueError, match="on_bad is 'ignore'; expected 'stop' or 'skip'"):
        dataset(on_bad='ignore')
    with pytest.raises(ValueError, match='found RandomCrop; expected Resize and CenterCrop only'):
        dataset(frame_pipeline=[dict(type='RandomCrop', size=32)])
    monkeypatch.setattr(snippet_clips, 'free_memory', lambda device: 1000)
    with pytest.raises(ValueError, match='0 MB of memory are free. Set cache=False'):
        dataset(cache=True)


# --- the model ------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['I3D', 'SlowFast', 'TSN', 'TSM'])
def test_features_of_a_frozen_encoder_are_the_extracted_ones(
    root, dataset, localizer, tmp_path, name
):
    cfg = recognizer(name)
    checkpoint = weights(cfg, tmp_path / 'weights.pth')
    encoder = SnippetEncoder(cfg, checkpoint, frame_interval=2, stride_frames=8)
    extract_features(encoder, find_videos(root / 'videos'), tmp_path / 'features', batch_size=10)
    clips = dataset(name)[1]['inputs']
    expected = torch.from_numpy(np.load(tmp_path / 'features' / 'train_1.npy')).T
    whole = localizer(name, checkpoint, frozen_encoder=True).train().features(clips)
    assert not whole.requires_grad
    assert torch.equal(whole, expected)
    in_chunks = localizer(name, checkpoint, frozen_encoder=True, chunk_snippets=4).features(clips)
    assert in_chunks.numpy() == pytest.approx(expected.numpy(), abs=1e-5 * float(expected.max()))


def test_a_step_changes_the_encoder_but_for_its_statistics(dataset, localizer):
    model = localizer()
    changed = step(model, dataset())
    of_encoder = {k for k, _ in model.named_parameters() if k.startswith('encoder.')}
    assert of_encoder and of_encoder <= changed
    assert not any('running' in key for key in changed)
    assert any(key.startswith('localizer.') for key in changed)
    assert any('running_mean' in key for key in step(localizer(norm_eval=False), dataset()))


def test_a_step_leaves_the_bytes_of_a_frozen_encoder(dataset, localizer):
    changed = step(localizer(frozen_encoder=True, norm_eval=False), dataset())
    assert changed and all(key.startswith('localizer.') for key in changed)


def test_chunks_and_checkpointing_change_no_number(dataset, localizer):
    loss, gradients = loss_and_gradients(localizer(), dataset())
    assert any(key.startswith('encoder.') for key in gradients)
    for options in (dict(chunk_snippets=3), dict(chunk_snippets=3, checkpointing=True)):
        other_loss, others = loss_and_gradients(localizer(**options), dataset())
        assert other_loss == pytest.approx(loss, rel=1e-5) and others.keys() == gradients.keys()
        for key, gradient in gradients.items():
            scale = float(gradient.abs().max()) + 1e-6
            assert torch.allclose(others[key], gradient, atol=1e-3 * scale), key


def test_frames_stay_on_the_device_that_they_are_brought_to(dataset, localizer):
    """Normalising them too, which MMEngine's models need to know; 'meta' computes shapes alone."""
    model = localizer().to('meta')
    data = model.data_preprocessor(batch_of(dataset()))
    features = model.features(data['inputs'][0])
    assert features.device.type == 'meta' and features.shape == (32, 7)


def test_the_localizer_may_have_a_neck(dataset, root):
    model = MODELS.build(
        dict(
            type='EndToEndLocalizer',
            encoder=recognizer().model,
            encoder_checkpoint=str(root / 'i3d.pth'),
            localizer={**BMN, 'neck': dict(type='SoLa', hidden_channels=8, frozen=False)},
        )
    )
    model.init_weights()
    assert 'localizer.neck.alpha' in step(model, dataset())


def test_weights_are_loaded_once_and_never_missed(root, dataset, localizer, tmp_path):
    data = batch_of(dataset())
    with pytest.raises(CheckpointError, match='nowhere.pth: no such checkpoint file'):
        localizer(checkpoint=tmp_path / 'nowhere.pth')
    model = localizer()
    step(model, dataset())
    trained = {k: v.clone() for k, v in model.state_dict().items()}
    model.init_weights()  # not again
    assert all(torch.equal(v, trained[k]) for k, v in model.state_dict().items())

    cfg = dict(
        type='EndToEndLocalizer',
        encoder=recognizer().model,
        encoder_checkpoint=str(tmp_path / 'nowhere.pth'),
        localizer=BMN,
    )
    fresh = MODELS.build(cfg)
    fresh.localizer.load_state_dict(model.localizer.state_dict())
    fresh.load_state_dict({'localizer.alone': torch.zeros(1)}, strict=False)
    with pytest.raises(ValueError, match='no weights were loaded into the encoder'):
        fresh.val_step(data)
    fresh.load_state_dict(trained)  # needs the recognizer's checkpoint no more
    with torch.no_grad():
        found, expected = fresh.eval().val_step(data), model.eval().val_step(data)
    assert found == expected and found[0]['video_name'] == 'train_0'


def test_models_that_cannot_be_right_are_refused(root, dataset, localizer):
    with pytest.raises(EncoderError, match='its model is a BMN'):
        MODELS.build(
            dict(type='EndToEndLocalizer', encoder=BMN, localizer=BMN, encoder_checkpoint=None)
        )
    for options, message in (
        (dict(checkpointing=True, norm_eval=False), 'would count statistics twice'),
        (dict(chunk_snippets=0), 'chunk_snippets is 0'),
    ):
        with pytest.raises(ValueError, match=message):
            localizer(**options)
    with pytest.raises(ValueError, match='would keep random weights'):
        MODELS.build(
            dict(
                type='EndToEndLocalizer',
                encoder=recognizer().model,
                localizer=BMN,
                encoder_checkpoint=None,
                frozen_encoder=True,
            )
        )
    narrow = MODELS.build(
        dict(
            type='EndToEndLocalizer',
            encoder=recognizer().model,
            localizer={**BMN, 'feat_dim': 24},
            encoder_checkpoint=None,
        )
    )
    with pytest.raises(ValueError, match=r'train_0: expected .* C=24, found \(32, 7\); set feat'):
        narrow.val_step(batch_of(dataset()))
    with pytest.raises(ValueError, match=r"found \(7, 8, 3, 32, 32\); set .*input_format='NCTHW'"):
        narrow.val_step(batch_of(dataset('TSN')))
    with pytest.raises(ValueError, match="input_format is 'NHWC'"):
        dataset(pipeline=[dict(type='LoadSnippetClips', input_format='NHWC')])


# --- the shipped config ---------------------------------------------------------------------------


@pytest.fixture
def cfg(root, monkeypatch, tmp_path):
    """The shipped config over the tiny videos: one epoch of one step, validated."""
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(CONFIG)
    cfg.model.encoder = recognizer().model
    cfg.model.encoder_checkpoint = 'recognizer/epoch_*.pth'
    cfg.model.localizer = BMN
    for split, subset in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        cfg[f'{split}_dataloader'].dataset.update(data_root=str(root), subset=subset)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.vis_backends = cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    cfg.work_dir = str(tmp_path / 'work_dir')
    cfg.launcher = 'none'
    (tmp_path / 'recognizer').mkdir()
    weights(recognizer(), tmp_path / 'recognizer' / 'epoch_1.pth')
    return cfg


def test_the_config_trains_validates_and_goes_on(cfg, tmp_path):
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.train()
    scores = runner.message_hub.log_scalars
    assert {'val/loc/AUC', 'val/loc/AR@100', 'val/loc/class_agnostic_AP'} <= set(scores)
    loaded = torch.load(tmp_path / 'recognizer' / 'epoch_1.pth')['state_dict']
    encoder = runner.model.encoder.recognizer
    assert set(encoder.state_dict()) == {k for k in loaded if not k.startswith('cls_head.')}
    moves = {
        k: ((p.detach() - loaded[k]).abs().max().item()) for k, p in encoder.named_parameters()
    }
    # Adam's first step moves each weight by its rate, here a tenth of the localizer's
    rate = 0.1 * cfg.optim_wrapper.optimizer.lr
    assert max(moves.values()) == pytest.approx(rate, rel=0.01)
    assert sum(move > 0 for move in moves.values()) > 0.9 * len(moves)
    assert all(
        torch.equal(statistic, loaded[k]) for k, statistic in encoder.named_buffers() if k in loaded
    )

    saved = torch.load(Path(cfg.work_dir) / 'epoch_1.pth', weights_only=True)
    MODELS.build(copy.deepcopy(cfg.model)).load_state_dict(saved['state_dict'], strict=True)
    cfg.train_cfg.max_epochs = 2
    cfg.resume = True
    cfg.experiment_name = 'resumed'
    resumed = Runner.from_cfg(copy.deepcopy(cfg))
    resumed.train()
    assert resumed.iter == 2


def test_a_one_stage_localizer_learns_classes_from_frames(cfg):
    """Random pieces to train on, whole videos to predict; the classes stand in the checkpoint."""
    cfg.model.localizer = {**ACTIONFORMER, 'feat_dim': 32}
    pack = dict(
        type='PackSnippetInputs',
        keys=('gt_segments', 'gt_labels'),
        meta_keys=('video_name', 'grid_sec', 'covered_sec', 'annotations'),
    )
    whole = [PIPELINE[0], dict(type='GenerateGridSegments'), pack]
    pieces = [*whole[:2], dict(type='TruncateSnippets', max_snippets=8), pack]
    for split, pipeline in (('train', pieces), ('val', whole), ('test', whole)):
        cfg[f'{split}_dataloader'].dataset.update(pipeline=pipeline, ignored_classes=['stop'])
    cfg.train_dataloader.sampler = dict(type='SnippetWindowSampler', shuffle=True)
    cfg.val_evaluator = cfg.test_evaluator = dict(type='LocalizationMetric')
    cfg.model.localizer.num_classes = 2
    with pytest.raises(ValueError, match=r"1 classes \('go'\), but num_classes=2"):
        build_runner(copy.deepcopy(cfg)).train()
    cfg.model.localizer.num_classes = 1
    cfg.experiment_name = 'named'
    runner = build_runner(cfg)
    runner.train()
    assert 'val/loc/mAP' in runner.message_hub.log_scalars
    left_out = runner.train_dataloader.dataset.metainfo['left_out']
    assert left_out['segments of ignored classes'] == 2
    saved = torch.load(Path(cfg.work_dir) / 'epoch_1.pth', weights_only=True)
    assert saved['meta']['dataset_meta']['classes'] == ['go']


def test_the_shipped_config_fits_the_recognizer_that_it_begins_with():
    cfg = Config.fromfile(CONFIG)
    recognition = Config.fromfile(CONFIG.parents[1] / 'recognition' / 'recognition_video_world.py')
    assert cfg.model.encoder == recognition.model
    dataset = cfg.train_dataloader.dataset
    sampling = snippet_clip_dataset.SnippetSampling(**dataset.sampling)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    steps = recognition.val_dataloader.dataset.pipeline
    assert [s.type for s in dataset.frame_pipeline] == [
        s.type for s in steps if s.type in ('Resize', 'CenterCrop')
    ]
    sampler = next(s for s in steps if 'SampleFrames' in s.type)
    assert (sampler.clip_len, sampler.frame_interval) == (
        sampling.snippet_frames,
        sampling.frame_interval,
    )
    clips = torch.zeros(1, 3, sampling.snippet_frames, 48, 48, dtype=torch.uint8)
    with torch.no_grad():
        assert model.features(clips).shape == (cfg.model.localizer.feat_dim, 1)
