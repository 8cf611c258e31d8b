"""Keeping every k-th snippet of features."""

import sys

import numpy as np
import pytest

from mmsola.console import run_command
from mmsola.datasets.features.feature_store import FeatureError, FeatureStore
from mmsola.datasets.prepare.output import OutputError
from mmsola.datasets.prepare.thinned import thin_features
from mmsola.datasets.snippet_times import SnippetTimeline


@pytest.fixture
def source(tmp_path):
    """Two videos of 9 and 4 snippets, one below a folder."""
    rng = np.random.default_rng(0)
    for name, num_snippets in (('a', 9), ('b/c', 4)):
        file = tmp_path / 'features' / f'{name}.npy'
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, rng.normal(size=(num_snippets, 3)).astype(np.float16))
    return tmp_path / 'features'


def test_every_third_snippet_stays_and_keeps_its_time(source, tmp_path):
    out = tmp_path / 'thin'
    assert thin_features(FeatureStore(source), out, 3) == 2
    before, after = np.load(source / 'a.npy'), np.load(out / 'a.npy')
    assert after.dtype == np.float32 and np.array_equal(after, before[[0, 3, 6]])
    assert np.load(out / 'b' / 'c.npy').shape == (2, 3)
    # as the docstring says of a config
    times = SnippetTimeline(stride_frames=8, window_frames=16, fps=25).centres_sec(9)
    thin = SnippetTimeline(stride_frames=24, window_frames=16, fps=25).centres_sec(3)
    np.testing.assert_allclose(thin, times[::3])


def test_the_command_says_what_it_wrote_and_a_second_run_changes_nothing(
    source, tmp_path, monkeypatch, capsys
):
    out = tmp_path / 'thin'
    for _ in range(2):
        arguments = [str(source), str(out), '--every', '2', '--dtype', 'float16']
        monkeypatch.setattr(sys, 'argv', ['mmsola thin-features', *arguments])
        run_command('thin-features')
        assert capsys.readouterr().out == f'{out}: 1 of 2 snippets of 2 videos, float16\n'
        assert np.array_equal(np.load(out / 'a.npy'), np.load(source / 'a.npy')[::2])


def test_nothing_is_written_over_and_damaged_files_are_found_first(source, tmp_path):
    store, out = FeatureStore(source), tmp_path / 'thin'
    with pytest.raises(FeatureError, match='another folder'):
        thin_features(store, source, 2)
    with pytest.raises(FeatureError, match='every is 1'):
        thin_features(store, out, 1)
    out.mkdir()
    (out / 'a.npy').write_bytes(b'of somebody else')
    with pytest.raises(OutputError, match=r'a\.npy: is already there'):
        thin_features(store, out, 2)
    assert (out / 'a.npy').read_bytes() == b'of somebody else'
    np.save(source / 'b' / 'c.npy', np.full((4, 3), np.nan, np.float16))
    with pytest.raises(FeatureError, match=r'c\.npy'):
        thin_features(FeatureStore(source), tmp_path / 'other', 2)
    assert not (tmp_path / 'other').exists()
