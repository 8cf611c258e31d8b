"""Random windows depend on the run's seed, the epoch and the video, and on nothing else."""

from __future__ import annotations

import copy
import pickle
from collections import Counter

import numpy as np
import pytest
from mmaction.registry import DATA_SAMPLERS, DATASETS, TRANSFORMS
from mmengine.dataset import DefaultSampler, pseudo_collate
from torch.utils.data import DataLoader

from mmsola.datasets import SnippetWindowSampler
from mmsola.datasets.samplers import Draw

WINDOW = 5
NUM_VIDEOS = 11


@pytest.fixture
def config(tmp_path):
    """11 videos of 30 snippets whose values are their snippet index."""
    (tmp_path / 'features').mkdir()
    for i in range(NUM_VIDEOS):
        feature = np.arange(30, dtype=np.float32)[:, None].repeat(2, axis=1)
        np.save(tmp_path / 'features' / f'v{i:02d}.npy', feature)
    return dict(
        type='SnippetFeatureDataset',
        data_prefix=dict(feature=str(tmp_path / 'features')),
        pipeline=[
            dict(type='LoadSnippetWindow', window=WINDOW),
            dict(type='PackSnippetInputs', meta_keys=('video_name', 'start_snippet')),
        ],
    )


def draw(config, epoch=0, seed=0, num_workers=0, sampler=None):
    """(video, start) of each window of one epoch, in order."""
    dataset = DATASETS.build(copy.deepcopy(config))
    if sampler is None:
        sampler = DATA_SAMPLERS.build(
            dict(type='SnippetWindowSampler', seed=seed), default_args=dict(dataset=dataset)
        )
    sampler.set_epoch(epoch)
    loader = DataLoader(
        dataset, batch_size=4, sampler=sampler, num_workers=num_workers, collate_fn=pseudo_collate
    )
    windows = []
    for batch in loader:
        for inputs, sample in zip(batch['inputs'], batch['data_samples']):
            start = sample.start_snippet
            # the content is what the sample says
            assert inputs[0].tolist() == list(range(start, start + WINDOW))
            windows.append((sample.video_name, start))
    return windows


def test_windows_do_not_depend_on_the_number_of_workers_nor_on_numpys_state(config):
    np.random.seed(1)
    one = draw(config)
    np.random.seed(2)
    assert draw(config) == one
    assert draw(config, num_workers=2) == one
    assert len(set(video for video, _ in one)) == NUM_VIDEOS


def test_windows_differ_between_epochs_and_seeds_and_come_back_with_them(config):
    draws = {key: dict(draw(config, *key)) for key in ((0, 0), (1, 0), (0, 1), (1, 1))}
    for one in draws:
        for other in draws:
            same = sum(draws[one][video] == draws[other][video] for video in draws[one])
            assert (same == NUM_VIDEOS) == (one == other)
    assert dict(draw(config, 1, 0)) == draws[1, 0]


def test_windows_of_different_videos_are_drawn_independently(config):
    assert len({start for _, start in draw(config)}) > 3


class Rank(SnippetWindowSampler):
    """The sampler as process ``rank`` of ``world_size`` sees it."""

    def __init__(self, dataset, rank, world_size):
        super().__init__(dataset, seed=0)
        self.rank, self.world_size = rank, world_size
        self.num_samples = -(-len(dataset) // world_size)
        self.total_size = self.num_samples * world_size


@pytest.mark.parametrize('world_size', [2, 3])
def test_windows_do_not_depend_on_the_number_of_processes(config, world_size):
    alone = draw(config, epoch=3)
    dataset = DATASETS.build(copy.deepcopy(config))
    shares = [
        draw(config, epoch=3, sampler=Rank(dataset, rank, world_size)) for rank in range(world_size)
    ]
    together = [window for step in zip(*shares) for window in step]
    # the last share is filled up from the beginning
    assert together == alone + alone[: len(together) - len(alone)]


def test_every_place_is_equally_likely_the_first_and_the_last_too():
    load = TRANSFORMS.build(dict(type='LoadSnippetWindow', window=23))
    places, draws = 8, 4000
    for seeded in (True, False):
        np.random.seed(0)
        starts = Counter(
            load(
                dict(
                    video_name='v',
                    num_snippets=23 + places - 1,
                    window_fraction=(i + 0.5) / draws if seeded else None,
                    feature_store=Recorder(),
                )
            )['start_snippet']
            for i in range(draws)
        )
        assert set(starts) == set(range(places))
        expected = draws / places
        # 6 standard deviations of a binomial count
        assert all(abs(count - expected) < 6 * expected**0.5 for count in starts.values())


class Recorder:
    """A store that returns what it is asked for."""

    def read(self, name, start, stop):
        return np.array([start, stop])


def test_a_video_as_long_as_the_window_has_one_place():
    load = TRANSFORMS.build(dict(type='LoadSnippetWindow', window=23))
    for place in [None, 0.0, 0.5, np.nextafter(1, 0)]:
        results = load(
            dict(video_name='v', num_snippets=23, window_fraction=place, feature_store=Recorder())
        )
        assert results['raw_feature'].tolist() == [0, 23]


@pytest.mark.parametrize('num_workers', [0, 2])
def test_draws_survive_concatenation_and_repetition(config, num_workers):
    nested = dict(
        type='ConcatDataset', datasets=[config, dict(type='RepeatDataset', dataset=config, times=2)]
    )
    np.random.seed(1)
    one = draw(nested)
    np.random.seed(2)
    assert draw(nested, num_workers=num_workers) == one
    assert Counter(video for video, _ in one) == {f'v{i:02d}': 3 for i in range(NUM_VIDEOS)}
    # the repetitions of a video are windows of their own
    starts = {video: {start for v, start in one if v == video} for video, _ in one}
    assert sum(len(s) > 1 for s in starts.values()) > NUM_VIDEOS // 2


def test_the_order_of_videos_is_that_of_mmengines_sampler(config):
    dataset = DATASETS.build(config)
    ours, theirs = SnippetWindowSampler(dataset, seed=5), DefaultSampler(dataset, seed=5)
    for epoch in (0, 1):
        ours.set_epoch(epoch)
        theirs.set_epoch(epoch)
        assert list(ours) == list(theirs) and len(ours) == len(theirs)


def test_a_draw_is_an_index_and_keeps_its_seed_on_the_way_to_a_worker():
    one = Draw(7, 0.25)
    assert one == 7 and list(range(10))[one] == 7
    for other, value in (
        (pickle.loads(pickle.dumps(one)), 7),
        (copy.deepcopy(one), 7),
        (one - 2, 5),
        (one % 4, 3),
        ((one - 2) % 4, 1),
    ):
        assert isinstance(other, Draw) and other == value and other.window_fraction == 0.25
