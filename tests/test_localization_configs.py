"""Every localizer's config runs on generated data of its shape, and SoLa changes the neck alone."""

from __future__ import annotations

import argparse
import copy
import functools
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_data import (
    NUM_VIDEOS,
    write_activitynet,
    write_charades_sta,
    write_class_scores,
    write_snippet_data,
)
from mmaction.registry import MODELS
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from shipped_configs import shipped_configs

from mmsola import compat
from mmsola.engine.launch import build_runner

ROOT = Path(__file__).parents[1]
SHIPPED = shipped_configs()
CONFIGS = {
    name: path
    for name, path in SHIPPED.items()
    # test_end_to_end.py has what learns from frames, test_study.py what runs other configs
    if not name.startswith(('sola_pretrain_', 'recognition_', 'finetune_', 'study_'))
}
NECKS = ('sola_', 'scratch_', 'smooth_')  # what may stand before the name of the plain config
# these need what other configs write, and run after them; DRN is not in every MMAction2
CHAINED = ('tem_anet', 'bsn_pgm_anet', 'bsn_pem_anet', 'bmn_hacs', 'tcanet_hacs', 'drn_charades')

# widths that make building and training quick; those of the features stay
SMALL = {
    'BMN': dict(
        temporal_dim=16,
        num_samples=4,
        hidden_dim_1d=16,
        hidden_dim_2d=8,
        hidden_dim_3d=16,
        post_process_top_k=10,
    ),
    'GTAD': dict(
        temporal_dim=16,
        max_duration=12,
        num_inner=4,
        num_context=4,
        hidden_dim_1d=16,
        hidden_dim_2d=8,
        hidden_dim_3d=16,
        graph_dim=16,
        graph_groups=4,
        post_process_top_k=10,
    ),
    'TEM': dict(temporal_dim=16, tem_hidden_dim=16),
    'PEM': dict(pem_hidden_dim=16),
    'TCANet': dict(temporal_dim=16, se_sample_num=8, action_sample_num=16),
    'DRN': dict(fpn_feature_dim=16, vocab_size=20),
    # the classes of the generated data, and no padding to the longest sequence of the real ones
    'ActionFormer': dict(channels=16, num_classes=2, pad_to_max=False),
    'TemporalMaxer': dict(channels=16, num_classes=2, pad_to_max=False),
    'TriDet': dict(channels=32, num_classes=2, pad_to_max=False, backbone=dict(mlp_channels=24)),
}


def plain(name):
    """The config that differs in its neck."""
    return next((name.removeprefix(neck) for neck in NECKS if name.startswith(neck)), name)


@functools.cache
def read(name):
    return Config.fromfile(CONFIGS[name])


def config(name):
    return copy.deepcopy(read(name))


STANDALONE = [name for name in CONFIGS if plain(name) not in CHAINED]


@pytest.fixture(scope='module')
def work_folder(tmp_path_factory):
    """A working directory with the data of every config, and a checkpoint of each pretraining."""
    work_folder = tmp_path_factory.mktemp('configs')
    specs = {'SnippetFeatureDataset': [], 'SlidingWindowDataset': [], 'ActivityNetDataset': []}
    class_scores = {}
    for name in CONFIGS:
        cfg = config(name)
        for split in ('train', 'val', 'test'):
            dataset = cfg.get(f'{split}_dataloader', {}).get('dataset')
            if dataset is not None and dataset.type in specs:
                # relative to the working directory
                assert dataset.get('data_root', dataset.ann_file).startswith('data/')
                specs[dataset.type].append(dataset)
        evaluator = cfg.get('test_evaluator') or {}
        if 'class_scores' in evaluator:
            class_scores.setdefault(evaluator.class_scores.file, set()).add(evaluator.ann_file)
    random = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        write_activitynet(specs['ActivityNetDataset'], random)
        there = {spec.ann_file for spec in specs['ActivityNetDataset']}
        snippets = specs['SnippetFeatureDataset'] + specs['SlidingWindowDataset']
        write_snippet_data(
            [s for s in snippets if str(Path(s.data_root, s.ann_file)) not in there], random
        )
        write_class_scores(class_scores, random)
    return work_folder


@pytest.fixture
def in_work_folder(work_folder, monkeypatch):
    monkeypatch.chdir(work_folder)


def load(name):
    """A config over few videos in small batches: two steps of training, then validation."""
    cfg = config(name)
    cfg.setdefault('work_dir', f'work_dirs/{name}')
    small = SMALL[cfg.model.type]
    if cfg.train_dataloader.dataset.get('class_agnostic'):
        small = {**small, 'num_classes': 1}
    cfg.merge_from_dict(dict(model=small))
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(batch_size=NUM_VIDEOS // 2, num_workers=0, persistent_workers=False)
        loader.dataset.indices = NUM_VIDEOS
    if cfg.model.type in ('PEM', 'DRN'):
        cfg.val_dataloader.batch_size = cfg.test_dataloader.batch_size = 1  # MMAction2's own limit
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.vis_backends = cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    give_checkpoint(cfg)
    return cfg


def give_checkpoint(cfg):
    """Write the checkpoint that the neck asks for, as its pretraining would."""
    wanted = cfg.model.get('neck', {}).get('init_cfg', {}).get('checkpoint')
    if wanted is None or list(Path().glob(wanted)):
        return
    pretraining = Config.fromfile(SHIPPED[Path(wanted).parent.name])
    neck = MODELS.build(pretraining.model.neck)
    torch.nn.init.constant_(neck.alpha, 0.5)
    path = Path(wanted.replace('*', 'probe_auc_epoch_1'))
    path.parent.mkdir(parents=True)
    torch.save({'state_dict': {f'neck.{k}': v for k, v in neck.state_dict().items()}}, path)


def train(cfg, least_moved=0.5) -> Runner:
    """Two steps, which must move the head and leave a frozen neck as pretrained; validation."""
    runner = build_runner(cfg)
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()
    assert runner.iter == 2
    after = runner.model.state_dict()
    neck = {key: value for key, value in after.items() if key.startswith('neck.')}
    wanted = cfg.model.get('neck', {})
    if 'init_cfg' in wanted:
        (path,) = Path().glob(wanted.init_cfg.checkpoint)
        pretrained = torch.load(path, weights_only=True)['state_dict']
        assert neck.keys() == pretrained.keys()
        assert all(torch.equal(neck[key], pretrained[key]) for key in neck)
    else:
        assert bool(neck) == (wanted.get('type') == 'SoLa')
        assert all(not torch.equal(neck[key], before[key]) for key in neck)
    head = [key for key in after if key not in neck and 'sample_mask' not in key]
    moved = [key for key in head if not torch.equal(after[key], before[key])]
    # a few gradients may be 0, behind a ReLU that is shut
    assert len(moved) > least_moved * len(head)
    losses = runner.message_hub.log_scalars['train/loss'].data[0]
    assert len(losses) and np.isfinite(losses).all()
    return runner


def documented_options(name):
    """``--work-dir`` and ``--cfg-options`` of the commands in a config's comment that have them."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--work-dir')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    comment = CONFIGS[name].read_text().split('_base_')[0].replace('\\\n#', '')
    for line in comment.splitlines():
        if '--cfg-options' in line:
            found = parser.parse_known_args(line.split())[0]
            yield found.work_dir, found.cfg_options


def check_figures(figures):
    assert 'loc/AUC' in figures and {'loc/mAP', 'loc/class_agnostic_AP'} & figures.keys()
    assert all(0 <= value <= 100 for value in figures.values())


# --- what the files say ---------------------------------------------------------------------------


@pytest.mark.parametrize('name', [name for name in CONFIGS if plain(name) != name])
def test_twins_differ_in_the_neck_alone(name):
    """And in work_dirs/, where each writes: the same path after the same prefix."""
    neck = name.removesuffix(plain(name))
    twin, ours = (config(n).to_dict() for n in (plain(name), name))
    if 'model' in ours and ours['model']['type'] != 'PEM':
        assert ours['model'].pop('neck')
    assert 'neck' not in twin.get('model', {})
    own_places = json.dumps(ours).count('work_dirs/')
    assert json.dumps(ours).count(f'work_dirs/{neck}') == own_places
    assert json.dumps(ours).replace(f'work_dirs/{neck}', 'work_dirs/') == json.dumps(twin)


def test_no_two_configs_write_to_the_same_place():
    work_dirs = []
    for name in CONFIGS:
        cfg = config(name)
        evaluator = cfg.get('test_evaluator', {})
        out = evaluator.get('out_file') or evaluator.get('dump_config', {}).get('out')
        work_dir = cfg.get('work_dir', f'work_dirs/{name}')
        assert work_dir == f'work_dirs/{name}'
        assert out is None or out.startswith(f'{work_dir}/')
        work_dirs.append(work_dir)
    assert len(set(work_dirs)) == len(CONFIGS)


@pytest.mark.parametrize('name', [name for name in CONFIGS if name.startswith('sola_')])
def test_a_neck_is_pretrained_by_a_shipped_config_on_the_same_features(name):
    cfg = config(name)
    neck = cfg.get('model', {}).get('neck')
    if neck is None:
        assert plain(name) in ('bsn_pgm_anet', 'bsn_pem_anet')
        return
    pretraining = Path(neck.init_cfg.checkpoint).parent
    assert pretraining.parent.name == 'work_dirs'
    path = SHIPPED[pretraining.name]
    command = f'mmsola train mmsola::{path.parent.name}/{path.name}'
    assert command in CONFIGS[name].read_text()
    theirs = Config.fromfile(path)
    assert neck.in_channels == theirs.model.neck.in_channels
    ours, theirs = (c.train_dataloader.dataset for c in (cfg, theirs))
    folders = [
        Path(d.get('data_root', ''), d.data_prefix.get('feature') or d.data_prefix.video)
        for d in (ours, theirs)
    ]
    assert folders[0] == folders[1]


# --- they run -------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', STANDALONE)
def test_a_config_trains_two_steps_and_validates(name, in_work_folder):
    runner = train(load(name))
    figures = runner.test()
    check_figures(figures)
    out_file = runner.cfg.test_evaluator.get('out_file')
    if out_file is not None:
        assert len(json.loads(Path(out_file).read_text())['results']) >= NUM_VIDEOS // 2


@pytest.mark.parametrize('neck', ['', 'sola_'], ids=['plain', 'sola'])
def test_the_chain_of_bsn(neck, in_work_folder, monkeypatch, capsys):
    """TEM, its results on all videos, proposals, PEM: each reads what the one before wrote."""
    cfg = load(f'{neck}tem_anet')
    assert cfg.test_dataloader.dataset.ann_file.endswith('anet_anno_full.json')
    del cfg.test_dataloader.dataset['indices']
    train(cfg).test()
    assert Path(cfg.work_dir, 'tem_epoch_1.pth').is_file()  # docs/bsn.md names it
    assert len(list(Path(cfg.tem_results_dir).glob('v_*.csv'))) == 2 * NUM_VIDEOS

    for mode in ('train', 'test'):
        config = str(CONFIGS[f'{neck}bsn_pgm_anet'])
        small = ['pgm_proposals_cfg.temporal_scale=16', f'pgm_features_{mode}_cfg.top_k=50']
        arguments = ['', config, '--mode', mode, '--cfg-options', *small]
        monkeypatch.setattr(sys, 'argv', arguments)
        runpy.run_path(str(ROOT / 'tools' / 'bsn_proposal_generation.py'), run_name='__main__')
        said = capsys.readouterr().out
        assert f'{NUM_VIDEOS} videos: {2 * NUM_VIDEOS} files are written, 0 were there' in said

    cfg = load(f'{neck}bsn_pem_anet')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.pipeline[0].top_k = 50
    runner = train(cfg)
    check_figures(runner.test())
    results = json.loads(Path(cfg.test_evaluator.out_file).read_text())['results']
    assert set(results) == {f'val_{i}' for i in range(NUM_VIDEOS)}


@pytest.mark.parametrize('neck', ['', 'sola_'], ids=['plain', 'sola'])
def test_the_chain_of_tcanet(neck, in_work_folder):
    """BMN's proposals of both subsets, then TCANet, which refines them."""
    cfg = load(f'{neck}bmn_hacs')
    runner = train(cfg)
    check_figures(runner.test())
    cfg = load(f'{neck}bmn_hacs')
    cfg.load_from = str(next(Path(cfg.work_dir).glob('epoch_*.pth')))
    ((_, options),) = documented_options('tcanet_hacs')
    options['test_evaluator.out_file'] = options['test_evaluator.out_file'].replace(
        'work_dirs/', f'work_dirs/{neck}'
    )
    cfg.merge_from_dict(options)
    check_figures(build_runner(cfg).test())

    cfg = load(f'{neck}tcanet_hacs')
    check_figures(train(cfg).test())
    results = json.loads(Path(cfg.test_evaluator.out_file).read_text())['results']
    assert set(results) == {f'HACS_segments_v1.1.1_validation_{i}' for i in range(NUM_VIDEOS)}


@pytest.mark.parametrize('neck', ['', 'sola_'], ids=['plain', 'sola'])
def test_drn_in_three_stages(neck, in_work_folder):
    if MODELS.get('DRN') is compat.DRN:
        pytest.skip(f'the localizer DRN cannot be used: {compat.DRN.reason}')
    nltk = pytest.importorskip('nltk', reason="MMAction2's CharadesSTADataset needs it")
    try:
        nltk.word_tokenize('a person')
    except LookupError as error:
        pytest.skip(f'nltk lacks the data that it cuts sentences into words with: {error}')
    cfg = load(f'{neck}drn_charades')
    write_charades_sta(cfg.train_dataloader.dataset, np.random.default_rng(0), 4096)
    train(cfg).test()
    for work_dir, options in documented_options('drn_charades'):
        checkpoint = str(next(Path(cfg.work_dir).glob('epoch_1.pth')))
        cfg = load(f'{neck}drn_charades')
        cfg.merge_from_dict({**options, 'load_from': checkpoint})
        cfg.work_dir = work_dir.replace('work_dirs/', f'work_dirs/{neck}')
        assert cfg.param_scheduler is None and cfg.optim_wrapper.optimizer.lr < 1e-4
        train(cfg, least_moved=0).test()  # a stage trains few layers
