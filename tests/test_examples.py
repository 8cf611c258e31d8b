"""Examples in docstrings: each prints what it shows, and every registered class has one."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from mmaction import registry as registries
from mmengine.logging import MMLogger
from mmengine.registry import Registry

import mmsola

PACKAGE = Path(mmsola.__file__).parent
BY_BUILD_RUNNER = 'build_runner adds it to every run, so nobody writes its name'
OF_VIDEOS = 'reads videos; its example is configs/bmn/finetune_bmn_video_world.py'
WITHOUT_EXAMPLE = {
    'CheckpointFitsHook': BY_BUILD_RUNNER,
    'ClassNamesHook': BY_BUILD_RUNNER,
    'ExactResumeHook': BY_BUILD_RUNNER,
    'FeatureStatisticsHook': BY_BUILD_RUNNER,
    'LearnableSegmentsHook': BY_BUILD_RUNNER,
    'ProvenanceHook': BY_BUILD_RUNNER,
    'SyncBuffersHook': BY_BUILD_RUNNER,
    'ValidateAtResumeHook': BY_BUILD_RUNNER,
    'EndToEndLocalizer': OF_VIDEOS,
    'LoadSnippetClips': OF_VIDEOS,
    'SnippetClipDataset': OF_VIDEOS,
    'LocalizationInferencer': 'needs the config and the checkpoint of a localizer',
    'PEM': 'reads what BSN writes about proposals; its example is configs/bsn/bsn_pem_anet.py',
    'DRN': "is not in MMAction2's wheel",
}


def modules_with_examples():
    for path in sorted(PACKAGE.rglob('*.py')):
        if '>>> ' in path.read_text(encoding='utf-8'):
            parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
            yield '.'.join(parts).removesuffix('.__init__')


@pytest.mark.parametrize('name', [*modules_with_examples()])
def test_examples_print_what_they_show(name):
    MMLogger.get_current_instance()  # one made inside of an example would log into its output
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted and not result.failed


def test_every_registered_class_has_an_example():
    importlib.import_module('mmsola.apis.inference')  # registers itself when it is asked for
    registered = {
        kind.__name__: kind
        for registry in vars(registries).values()
        if isinstance(registry, Registry)
        for kind in registry.module_dict.values()
        if kind.__module__.startswith('mmsola.')
    }
    with_example = {name for name, kind in registered.items() if '>>> ' in (kind.__doc__ or '')}
    assert len(with_example) > 30
    assert registered.keys() - with_example == WITHOUT_EXAMPLE.keys() & registered.keys()
    assert WITHOUT_EXAMPLE.keys() <= registered.keys() | {'DRN'}
