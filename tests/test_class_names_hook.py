"""Classes of a localizer: from the training data into the checkpoint, and from there to a test."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from small_localizers import BMN, CHANNELS, TEMPORALMAXER

from mmsola.engine.launch import build_runner

PACK = dict(
    type='PackSnippetInputs',
    keys=('gt_segments', 'gt_labels'),
    meta_keys=('video_name', 'grid_sec', 'covered_sec', 'annotations'),
)
TRAINING = [
    dict(type='GenerateGridSegments'),
    dict(type='TruncateSnippets', max_snippets=32),
    dict(type='LoadSnippetSequence'),
    PACK,
]
WHOLE = [dict(type='LoadSnippetSequence'), dict(type='GenerateGridSegments'), PACK]
RUNS = itertools.count()  # MMEngine keeps runners apart by their names
LABELS = {'training': ['jump', 'run'], 'validation': ['run'], 'strange': ['runn', 'run']}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Two videos to train on, one to validate, and two of which one has an unknown label."""
    return write_data(tmp_path_factory.mktemp('data'))


def write_data(root):
    """Features and annotations of 40 snippets, a second each."""
    (root / 'features').mkdir()
    random, database = np.random.default_rng(0), {}
    for subset, labels in LABELS.items():
        for i, label in enumerate(labels):
            name = f'{subset}_{i}'
            feature = random.normal(size=(40, CHANNELS)).astype(np.float32)
            np.save(root / 'features' / f'{name}.npy', feature)
            database[name] = {
                'duration': 40.0,
                'subset': subset,
                'annotations': [{'segment': [5.0, 30.0], 'label': label}],
            }
    (root / 'annotations.json').write_text(json.dumps({'database': database}))
    return root


def loader(data, subset, pipeline, **settings):
    return dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='SnippetWindowSampler', shuffle=False),
        dataset={
            'type': 'SnippetFeatureDataset',
            'ann_file': str(data / 'annotations.json'),
            'data_prefix': dict(feature=str(data / 'features')),
            'subset': subset,
            'pipeline': pipeline,
            **settings,
        },
    )


def build(data, work_dir, training=None, evaluation=None, subset='validation', model=None, **more):
    """A runner of one epoch, as every tool builds it; settings of the data sets and the model."""
    model = model or {}
    cfg = dict(
        experiment_name=f'{work_dir.parent.name}_{work_dir.name}_{next(RUNS)}',
        work_dir=str(work_dir),
        default_scope='mmaction',
        randomness=dict(seed=0),
        model=model if 'type' in model else {**TEMPORALMAXER, **model},
        train_dataloader=loader(data, 'training', **{'pipeline': TRAINING, **(training or {})}),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4)),
        val_dataloader=loader(data, subset, WHOLE, test_mode=True, **(evaluation or {})),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=dict(type='LocalizationMetric', max_proposals=20),
    )
    cfg.update(more)
    for part in ('dataloader', 'cfg', 'evaluator'):
        cfg[f'test_{part}'] = {**cfg[f'val_{part}']}
    cfg['test_cfg'] = dict(type='TestLoop')
    return build_runner(Config(cfg))


@pytest.fixture
def run(data, tmp_path):
    """Builds a runner on these data; what it writes is this test's."""
    return lambda **settings: build(data, tmp_path, **settings)


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """Of a training whose classes are the sorted labels, jump and run."""
    work_dir = tmp_path_factory.mktemp('trained')
    with DefaultScope.overwrite_default_scope('mmaction'):
        build(data, work_dir).train()
    return work_dir / 'epoch_1.pth'


@pytest.fixture
def checkpoint(trained, tmp_path):
    """A copy, to be changed."""
    return Path(shutil.copy(trained, tmp_path / 'copy.pth'))


def classes_in(checkpoint):
    return torch.load(checkpoint, weights_only=True)['meta']['dataset_meta']['classes']


def rewrite(checkpoint, classes):
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['dataset_meta']['classes'] = classes
    torch.save(content, checkpoint)


@HOOKS.register_module()
class StopAtFirstStep(Hook):
    """A step is one too many where a training is to be refused before."""

    def before_train_iter(self, *args, **kwargs):
        raise AssertionError('a step was made')


def refused(run, message, **settings):
    runner = run(custom_hooks=[dict(type='StopAtFirstStep')], **settings)
    with pytest.raises(ValueError, match=message) as raised:
        runner.train()
    assert 'fix:' in str(raised.value)


# Training -----------------------------------------------------------------------------------------


def test_a_training_names_the_classes_and_its_checkpoint_lists_them(trained):
    assert classes_in(trained) == ['jump', 'run']


def test_a_given_order_is_that_of_the_checkpoint(run, tmp_path):
    runner = run(training=dict(classes=['run', 'jump']))
    runner.train()
    assert runner.model.class_names == ('run', 'jump')
    assert classes_in(tmp_path / 'epoch_1.pth') == ['run', 'jump']


@pytest.mark.parametrize('num_classes', [1, 5])
def test_a_training_with_another_number_of_classes_is_refused_before_its_first_step(
    run, num_classes
):
    refused(
        run,
        rf"2 classes \('jump', 'run'\), but num_classes={num_classes}[\s\S]*model.num_classes=2",
        model=dict(num_classes=num_classes),
    )


def test_a_training_in_another_order_than_the_models_is_refused(run):
    names = dict(class_names=['run', 'jump'])
    refused(run, r"training data: class 0 is 'jump'\n  expected: 'run'", model=names)


def test_names_of_the_model_that_are_those_of_the_data_pass(run):
    run(model=dict(class_names=['jump', 'run'])).train()


def test_validation_data_with_an_unknown_label_are_refused_before_the_first_step(run):
    refused(
        run,
        r"validation data: the class 'runn'[\s\S]*such as 'run'[\s\S]*ignored_classes=\['runn'\]",
        subset='strange',
    )


def test_validation_data_may_lack_classes_and_may_leave_unknown_ones_out(run):
    """Sorted labels of a subset, 1 of 2, are no other order."""
    run(subset='strange', evaluation=dict(ignored_classes=['runn'])).train()


def test_a_given_list_of_the_validation_data_in_another_order_is_refused(run):
    refused(
        run,
        r"validation data: class 0 is 'run'\n  expected: 'jump'",
        evaluation=dict(classes=['run', 'jump']),
    )


def test_a_localizer_of_one_class_for_all_takes_any_label(run, tmp_path):
    one = dict(num_classes=1)
    run(training=dict(class_agnostic=True), subset='strange', model=one).train()
    checkpoint = tmp_path / 'epoch_1.pth'
    assert classes_in(checkpoint) == ['action']
    runner = run(subset='strange', model=one, load_from=str(checkpoint))
    runner.test()
    assert runner.model.class_names == ('action',)


# Checkpoints --------------------------------------------------------------------------------------


def test_a_tested_checkpoint_brings_its_classes(run, checkpoint):
    runner = run(load_from=str(checkpoint))
    assert runner.model.class_names is None
    runner.test()
    assert runner.model.class_names == ('jump', 'run')


def test_a_resumed_training_keeps_its_classes(run, checkpoint):
    runner = run(load_from=str(checkpoint), resume=True)
    runner.train()
    assert runner.model.class_names == ('jump', 'run')


@pytest.mark.parametrize('classes', [['run', 'jump'], ['jump', 'run', 'swim']])
def test_a_checkpoint_of_other_classes_is_not_resumed(run, checkpoint, classes):
    rewrite(checkpoint, classes)
    runner = run(load_from=str(checkpoint), resume=True)
    with pytest.raises(ValueError, match="'run'" if len(classes) == 2 else '3 classes'):
        runner.train()


def test_a_checkpoint_of_other_classes_than_the_models_is_not_tested(run, checkpoint):
    runner = run(load_from=str(checkpoint), model=dict(class_names=['run', 'jump']))
    with pytest.raises(ValueError, match=r"class 0 is 'jump'\n  expected: 'run'") as raised:
        runner.test()
    assert re.search(r'the checkpoint .*copy\.pth', str(raised.value))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(subset='strange'), "the test data: the class 'runn'"),
        (dict(evaluation=dict(classes=['run', 'jump'])), "the test data: class 0 is 'run'"),
    ],
    ids=['unknown', 'order'],
)
def test_test_data_that_do_not_fit_a_checkpoint_are_refused(run, checkpoint, settings, message):
    runner = run(load_from=str(checkpoint), **settings)
    with pytest.raises(ValueError, match=message):
        runner.test()


def test_a_validation_alone_is_checked_as_a_test(run, checkpoint):
    runner = run(load_from=str(checkpoint), subset='strange')
    with pytest.raises(ValueError, match="the validation data: the class 'runn'"):
        runner.val()


def test_a_new_training_may_begin_from_weights_of_other_classes(run, checkpoint):
    rewrite(checkpoint, ['swim', 'dive'])
    runner = run(load_from=str(checkpoint))
    runner.train()
    assert runner.model.class_names == ('jump', 'run')


def test_a_checkpoint_without_classes_brings_none(run, checkpoint):
    torch.save(torch.load(checkpoint, weights_only=True)['state_dict'], checkpoint)
    runner = run()
    runner.load_checkpoint(str(checkpoint))
    assert runner.model.class_names is None


# Others -------------------------------------------------------------------------------------------


def test_other_models_are_left_alone(run):
    runner = run(model=BMN)
    kinds = [type(hook).__name__ for hook in runner.hooks]
    assert kinds.count('ClassNamesHook') == 1
    hook = runner.hooks[kinds.index('ClassNamesHook')]
    saved = {'meta': {'dataset_meta': {'classes': ['a']}}}
    hook.after_load_checkpoint(runner, saved)
    hook.before_save_checkpoint(runner, saved)
    assert saved == {'meta': {'dataset_meta': {'classes': ['a']}}}
    assert not hasattr(runner.model, 'class_names')


def test_a_resumed_training_is_not_said_to_have_other_data(data, tmp_path):
    build(data, tmp_path / 'one').train()
    runner = build(data, tmp_path / 'one', resume=True, load_from=str(tmp_path / 'one/epoch_1.pth'))
    runner.train_loop._max_epochs = 2
    runner.train()
    logs = ''.join(path.read_text() for path in (tmp_path / 'one').rglob('*.log'))
    assert 'resumed epoch: 1' in logs and 'dataset metainfo' not in logs


# --- classes that training never has --------------------------------------------------------------


def biases(runner):
    return runner.model.head.classification.out.bias.detach()


def test_classes_without_a_training_segment_begin_silent_in_a_fresh_training_alone(run, tmp_path):
    """As published; a training that begins from a checkpoint has weights for them."""
    classes = dict(classes=['jump', 'wave', 'run'])
    settings = dict(training=classes, model=dict(num_classes=3))
    fresh = run(**settings)
    fresh.train()
    assert biases(fresh).tolist() == pytest.approx([-4.59512, -13.81551, -4.59512], abs=1e-3)
    content = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    content['state_dict']['head.classification.out.bias'] = torch.tensor([1.0, 2.0, 3.0])
    torch.save(content, tmp_path / 'mine.pth')
    from_checkpoint = run(**settings, load_from=str(tmp_path / 'mine.pth'))
    from_checkpoint.train()
    assert biases(from_checkpoint).tolist() == pytest.approx([1.0, 2.0, 3.0], abs=1e-3)
    pretrained = dict(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'mine.pth')))
    from_init_cfg = run(training=classes, model=dict(num_classes=3, **pretrained))
    from_init_cfg.train()
    assert biases(from_init_cfg).tolist() == pytest.approx([1.0, 2.0, 3.0], abs=1e-3)


def test_a_class_whose_only_video_is_left_out_begins_silent(run):
    alone = run(training=dict(classes=['jump', 'run'], indices=[1]))
    alone.train()
    assert biases(alone).tolist() == pytest.approx([-13.81551, -4.59512], abs=1e-3)


def test_parts_of_a_training_with_different_classes_go_together(data, run):
    parts = [
        loader(data, 'training', TRAINING, classes=['jump', 'run'], indices=indices)['dataset']
        for indices in ([0], [1])
    ]
    joined = DATASETS.build(dict(type='ConcatDataset', datasets=parts))
    runner = SimpleNamespace(
        model=run().model, train_dataloader=SimpleNamespace(dataset=joined), _val_loop=None
    )
    HOOKS.build(dict(type='ClassNamesHook')).before_train(runner)
    assert runner.model.class_names == ('jump', 'run')
    assert biases(runner).tolist() == pytest.approx([-4.59512, -4.59512], abs=1e-4)
