"""The subcommands: each shows an example, has a file in tools/; one that is misspelt."""

import re
import signal
import sys

import pytest
from shipped_configs import ROOT

from mmsola import console


@pytest.fixture
def help_of(monkeypatch, capsys):
    """What ``mmsola NAME --help`` prints, in this process."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(name):
        monkeypatch.setattr(sys, 'argv', list(sys.argv))
        with pytest.raises(SystemExit) as ended:
            console.main([name, '--help'])
        assert not ended.value.code
        return capsys.readouterr().out

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize('name', console.COMMANDS)
def test_help_shows_an_example(name, help_of):
    text = help_of(name)
    assert text.startswith(f'usage: mmsola {name} ')
    # on a line of its own, as it can be copied
    assert re.search(rf'^mmsola {name}( |$)', text, re.MULTILINE), text


def test_the_list_has_every_command_once_in_a_group(capsys):
    console.main([])
    text = capsys.readouterr().out
    for group, commands in console.GROUPS.items():
        assert f'\n{group}:\n' in text
        for name, what in commands.items():
            assert len(re.findall(rf'^  {name} +{re.escape(what)}$', text, re.MULTILINE)) == 1
    assert sum(map(len, console.GROUPS.values())) == len(console.COMMANDS)


def test_every_command_has_a_module_and_a_file_in_tools():
    modules = {path.stem for path in (ROOT / 'mmsola' / 'commands').glob('[!_]*.py')}
    assert {name.replace('-', '_') for name in console.COMMANDS} == modules
    run = [re.findall(r"run_command\('(.+)'\)", p.read_text()) for p in ROOT.glob('tools/*.py')]
    assert sorted(name for names in run for name in names) == sorted(console.COMMANDS)


def test_a_misspelt_command_names_the_nearest():
    with pytest.raises(SystemExit, match=r'no such command\. Did you mean mmsola train-seeds\?'):
        console.main(['train_seeds'])
    with pytest.raises(SystemExit, match=r'no such command\.\n\nusage: '):
        console.main(['zzz'])
