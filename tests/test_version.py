"""What files say of the code that made them: version, commit and threads."""

import json
import runpy
import shutil
import subprocess

import numpy as np
import pytest
import torch
from shipped_configs import ROOT

from mmsola.apis import export, extraction
from mmsola.apis.manifest import PROVENANCE
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.models.necks import SoLa
from mmsola.structures.submission import read_submission, write_submission
from mmsola.version import __version__, provenance


def git(folder, *arguments):
    command = ['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def commit_of(package):
    """What this file says where it lies now."""
    return runpy.run_path(str(package / 'version.py'))['commit']()


@pytest.fixture
def package(tmp_path):
    package = tmp_path / 'clone' / 'mmsola'
    package.mkdir(parents=True)
    shutil.copy(ROOT / 'mmsola' / 'version.py', package)
    return package


def test_the_commit_is_that_of_the_clone_and_says_whether_files_were_changed(package):
    clone = package.parent
    git(clone, 'init', '-q')
    git(clone, 'add', '-A')
    git(clone, 'commit', '-q', '-m', 'all')
    git(clone, 'tag', 'v9')
    head = git(clone, 'rev-parse', '--short=7', 'HEAD').strip()
    assert commit_of(package) == head
    (clone / 'new.txt').write_text('not known to git, so no change')
    assert commit_of(package) == head
    (package / 'version.py').open('a').write('\n')
    assert commit_of(package) == f'{head}-dirty'


def test_a_wheel_has_the_commit_that_it_was_built_from(package):
    assert commit_of(package) is None
    (package / 'commit.txt').write_text('abcdef1')
    assert commit_of(package) == 'abcdef1'
    (package / 'commit.txt').write_text('')
    assert commit_of(package) is None


def test_the_commit_of_another_project_around_it_is_not_taken(package):
    git(package.parents[1], 'init', '-q')
    git(package.parents[1], 'add', '-A')
    git(package.parents[1], 'commit', '-q', '-m', 'another project')
    assert commit_of(package) is None


def test_an_export_says_what_made_it_and_goes_on_with_other_threads(tmp_path, monkeypatch):
    (tmp_path / 'features').mkdir()
    np.save(tmp_path / 'features' / 'a.npy', np.ones((3, 4), np.float32))
    stores = [FeatureStore(tmp_path / 'features')]
    out, neck = tmp_path / 'out', SoLa(4, hidden_channels=3)
    export.export_features(neck, stores, out)
    manifest = json.loads((out / export.MANIFEST).read_text())
    assert {key: manifest[key] for key in provenance()} == provenance()
    assert manifest['threads'] == torch.get_num_threads()
    other = {'mmsola': __version__, 'commit': 'abcdef1', 'threads': 99}
    monkeypatch.setattr(export, 'provenance', lambda: other)
    assert export.export_features(neck, stores, out) == {'written': 0, 'kept': 1}
    assert json.loads((out / export.MANIFEST).read_text())['threads'] == 99
    monkeypatch.setattr(export, 'provenance', lambda: {**other, 'mmsola': '0.0.1'})
    with pytest.raises(export.ExportError, match=r'mmsola was .* is .0\.0\.1'):
        export.export_features(neck, stores, out)


def test_what_may_differ_is_all_but_the_version():
    assert {*PROVENANCE, 'mmsola'} == provenance().keys()
    assert {*PROVENANCE, 'mmsola'} <= set(extraction.NOT_COMPARED)


def test_a_submission_has_it_where_the_format_is_free(tmp_path):
    write_submission(tmp_path / 'results.json', {})
    content = json.loads((tmp_path / 'results.json').read_text())
    assert content['external_data'] == {'made_with': provenance()}
    assert read_submission(tmp_path / 'results.json') == {}
