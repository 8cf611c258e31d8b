"""Configs by path or by the name they are shipped under, and settings laid over them."""

import argparse
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from shipped_configs import ROOT

from mmsola.commands import configs
from mmsola.engine.config_file import (
    ConfigOptionError,
    add_cfg_options,
    parsed_options,
    read_config,
)
from mmsola.files import shipped_configs
from mmsola.files.shipped_configs import ConfigFileError, shipped_config, shipped_names


def test_a_shipped_config_is_found_by_name():
    by_name = read_config('mmsola::bmn/sola_bmn_demo.py')
    by_path = Config.fromfile(ROOT / 'configs' / 'bmn' / 'sola_bmn_demo.py')
    assert by_name.to_dict() == by_path.to_dict() and by_name.filename == by_path.filename


def test_a_shipped_config_is_a_base_as_a_file_beside_would_be(tmp_path):
    """Also the settings that a config takes from its base: they get no scope."""
    of_one = tmp_path / 'of_one.py'
    of_one.write_text("_base_ = 'mmsola::bmn/bmn_demo.py'\ntrain_cfg = dict(max_epochs=1)")
    expected = read_config('mmsola::bmn/bmn_demo.py', {'train_cfg.max_epochs': 1})
    assert Config.fromfile(of_one).to_dict() == expected.to_dict()
    of_two = tmp_path / 'of_two.py'
    of_two.write_text(
        "_base_ = ['mmsola::_base_/one_stage_small.py', 'mmsola::_base_/datasets/demo.py']\n"
        'train_dataloader = dict(dataset=_base_.training)'
    )
    cfg = Config.fromfile(of_two)
    assert cfg.train_dataloader.dataset.type == 'SnippetFeatureDataset'
    assert '_scope_' not in cfg.pretty_text


def test_every_shipped_name_is_a_config():
    assert {shipped_config(name) for name in shipped_names()} == {
        path.resolve() for path in (ROOT / 'configs').rglob('*.py')
    }


def test_a_wheel_has_its_configs_inside_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_configs, '_PACKAGE', tmp_path / 'mmsola')
    assert shipped_configs.config_folder() == tmp_path / 'configs'
    in_wheel = tmp_path / 'mmsola' / '.mim' / 'configs'
    in_wheel.mkdir(parents=True)
    assert shipped_configs.config_folder() == in_wheel


def test_a_config_that_is_not_there_is_named_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigFileError, match=r'fix: mmsola ships .* mmsola::bmn/bmn_demo\.py'):
        read_config('configs/bmn_demo.py')
    with pytest.raises(ConfigFileError, match=r'^mine\.py: no such config file\n(.*\n)*.* path$'):
        read_config('mine.py')
    with pytest.raises(ConfigFileError, match=r'expected: mmsola::bmn/bmn_demo\.py'):
        read_config('mmsola::bmn/bmn_dem.py')
    (tmp_path / 'mine.py').write_text("_base_ = 'mmsola::bmn/demo_bmn.py'")
    with pytest.raises(ConfigFileError, match=r'^mine\.py: mmsola::bmn/demo_bmn\.py: no such'):
        read_config('mine.py')
    with pytest.raises(ConfigFileError, match='no such config'):  # no way out of the folder
        read_config('mmsola::../tests/conftest.py')


def test_settings_are_the_same_from_a_command_line_and_from_python():
    name = 'mmsola::bmn/bmn_demo.py'
    words = read_config(name, ['train_cfg.max_epochs=3', 'a.b=[1,2]', 'a.c=x,y', 'd=-1'])
    values = {'train_cfg.max_epochs': 3, 'a.b': [1, 2], 'a.c': ['x', 'y'], 'd': -1}
    assert words.to_dict() == read_config(name, values).to_dict()
    plain = read_config(name)
    changed = read_config(plain, values)
    assert changed.d == -1 and 'd' not in plain


def test_settings_that_do_not_fit_are_named():
    with pytest.raises(ConfigOptionError, match='--cfg-options max_epochs: has no value'):
        read_config('mmsola::bmn/bmn_demo.py', ['max_epochs'])
    with pytest.raises(ConfigOptionError, match=r'custom_hooks\.7'):
        read_config('mmsola::sola/sola_pretrain_demo.py', ['custom_hooks.7.type=x'])


def test_configs_are_listed_by_a_part_of_their_name(capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['mmsola configs', 'bmn/sola_*demo'])
    configs.main()
    assert capsys.readouterr().out.splitlines()[0] == 'mmsola::bmn/sola_bmn_demo.py'
    monkeypatch.setattr(sys, 'argv', ['mmsola configs', 'nothing'])
    with pytest.raises(SystemExit, match='nothing: no config has this'):
        configs.main()


def test_an_option_can_be_given_twice():
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    args = parser.parse_args(['--cfg-options', 'a=1', 'b=x', '--cfg-options', 'c=[1,2]'])
    assert parsed_options(args.cfg_options) == {'a': 1, 'b': 'x', 'c': [1, 2]}


def test_brackets_that_do_not_match_are_named():
    with pytest.raises(ConfigOptionError, match=r'a=\(1,2: .*bracket'):
        parsed_options(['a=(1,2'])


def test_a_base_that_is_not_there_is_named_with_where_it_is_now(tmp_path):
    """Bases lay beside one's own configs before each method had a folder."""
    own = tmp_path / 'own.py'
    own.write_text("_base_ = 'bmn_demo.py'")
    with pytest.raises(ConfigFileError, match=r'(?s)own\.py: its base .*mmsola::bmn/bmn_demo\.py'):
        read_config(own)


@pytest.mark.parametrize('name', ['mmaction::nothing/here.py', 'no_such_package::a.py'])
def test_a_config_of_another_package_that_is_not_there_is_named(name):
    with pytest.raises(ConfigFileError, match=f'{name}: no such config'):
        read_config(name)


def test_a_command_is_no_file_of_its_name(tmp_path, monkeypatch, capsys):
    """``python -m mmsola`` runs scripts too; a folder may hold a file that is called ``env``."""
    monkeypatch.chdir(tmp_path)
    Path('env').write_text('print("this is the file")')
    monkeypatch.setattr(sys, 'argv', ['mmsola', 'env'])
    runpy.run_module('mmsola', run_name='__main__')
    out = capsys.readouterr().out
    assert 'this is the file' not in out and out.startswith('mmsola: ')
