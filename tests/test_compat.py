"""Each fix of mmsola.compat works where the stack is broken and is idle where it is not.

Broken and healthy stacks are made in processes of their own, by hiding modules from Python's
import system or by laying ones that work on its path. No library is replaced.
"""

import ast
import importlib.util
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner

from mmsola import compat

REPOSITORY = Path(__file__).parents[1]

# Hides modules as if they were not installed: also importlib.util.find_spec answers None.
HIDE = """
import sys
class Hide:
    def __init__(self, finder, names):
        self.finder, self.names = finder, names
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] not in self.names:
            return self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
names = {names!r}
sys.meta_path = [Hide(finder, names) for finder in sys.meta_path]
for name in list(sys.modules):
    if name.split('.')[0] in names:
        del sys.modules[name]
"""


def run_python(code, *, hide=(), paths=(), env=None):
    """Run code in a new interpreter; `paths` go before everything that is installed."""
    repository = Path(compat.__file__).parents[1]
    python_path = os.pathsep.join(map(str, [*paths, repository]))
    return subprocess.Popen(
        [sys.executable, '-c', HIDE.format(names=set(hide)) + textwrap.dedent(code)],
        env={**os.environ, 'PYTHONPATH': python_path, 'PYTHONWARNINGS': '', **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(process):
    """Both streams of a process that must succeed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


# --- import time ----------------------------------------------------------------------------------


def test_a_bare_install_is_fixed(tmp_path):
    """No importlib_metadata, no setuptools: import, inherit a config, evaluate, in silence."""
    config = tmp_path / 'config.py'
    name = 'bmn_2xb8-400x100-9e_activitynet-feature.py'
    config.write_text(f"_base_ = 'mmaction::localization/bmn/{name}'")
    code = f"""
        import mmsola
        import mmaction.apis, mmaction.datasets, mmaction.models
        import numpy as np
        from mmengine.config import Config
        from mmaction.evaluation.functional import accuracy

        assert Config.fromfile({str(config)!r}).model.type == 'BMN'
        truth = {{'video': np.array([[0.0, 1.0]])}}
        proposals = {{'video': np.array([[0.0, 1.0, 0.9], [0.5, 0.6, 0.1]])}}
        print(accuracy.average_recall_at_avg_proposals(truth, proposals, 2)[-1])
    """
    process = run_python(code, hide=['importlib_metadata', 'pkg_resources', 'setuptools'])
    out, err = output_of(process)
    assert float(out.splitlines()[-1]) == pytest.approx(50.5)  # found from 50 % of the proposals on
    assert err == ''


@pytest.mark.skipif(
    (Path(importlib.util.find_spec('mmaction').origin).parent / 'models/localizers/drn').exists(),
    reason='this MMAction2 comes with DRN',
)
def test_missing_drn_says_how_to_get_it():
    import mmaction.registry
    from mmaction.models.localizers.drn.drn import DRN

    class Extended(DRN):
        def __init__(self):
            raise AssertionError('too late')

    with pytest.raises(ImportError, match='install MMAction2 from its source'):
        mmaction.registry.MODELS.build(dict(type='DRN'))
    with pytest.raises(ImportError, match='install MMAction2 from its source'):
        Extended()


def test_drn_of_the_source_without_torchvision_says_so(tmp_path):
    drn = shadow_of_mmaction(tmp_path) / 'models' / 'localizers' / 'drn'
    (drn / 'drn_utils').mkdir(parents=True)
    (drn / 'drn.py').write_text('from .drn_utils import loss\n')
    (drn / 'drn_utils' / 'loss.py').write_text('import torchvision\n')
    code = """
        import mmsola
        from mmaction.registry import MODELS
        MODELS.build(dict(type='DRN'))
    """
    _, err = run_python(code, hide=['torchvision'], paths=[tmp_path]).communicate(timeout=120)
    assert 'ImportError' in err and 'DRN cannot be used: it needs torchvision' in err


def test_a_whole_install_is_left_alone(tmp_path):
    """With everything there, nothing is replaced."""
    for module in ('importlib_metadata', 'pkg_resources'):
        code = 'from importlib.metadata import *' if module == 'importlib_metadata' else ''
        (tmp_path / f'{module}.py').write_text(code)
    drn = shadow_of_mmaction(tmp_path) / 'models' / 'localizers' / 'drn'
    drn.mkdir()
    (drn / 'drn.py').write_text('class DRN:\n    pass\n')
    code = """
        import numpy, torch
        numpy.trapz = numpy.trapz if hasattr(numpy, 'trapz') else numpy.trapezoid
        torch.__version__ = '2.5.1'
        from mmengine.utils import package_utils
        before = dict(vars(package_utils))

        from mmsola import compat
        compat.apply()

        import importlib_metadata
        from mmaction.evaluation.functional import accuracy
        from mmaction.models.localizers.drn.drn import DRN
        assert importlib_metadata.__name__ == 'importlib_metadata'
        assert vars(package_utils) == before
        assert DRN is not compat.DRN
        assert accuracy.np is numpy
        assert compat.HistoryBuffer not in torch.serialization.get_safe_globals()
    """
    output_of(run_python(code, paths=[tmp_path]))


def shadow_of_mmaction(folder):
    """A copy of the installed MMAction2, made of links, to which files can be added."""
    original = Path(importlib.util.find_spec('mmaction').origin).parent
    shadow = folder / 'mmaction'
    for part in ('', 'models', 'models/localizers'):
        (shadow / part).mkdir()
        for child in (original / part).iterdir():
            if child.name not in ('models', 'localizers', 'drn', '__pycache__'):
                (shadow / part / child.name).symlink_to(child)
    return shadow


@pytest.mark.parametrize('version', ['2.1.0', '2.2.0', '2.2.1'])
def test_mmcv_2_2_is_taken_and_keeps_its_version(version):
    code = f"""
        import mmcv
        mmcv.__version__ = {version!r}
        import mmsola, mmaction.models
        print(mmcv.__version__)
    """
    assert output_of(run_python(code))[0].split()[-1] == version


def test_an_mmcv_that_nobody_has_run_is_left_to_mmaction2():
    code = """
        import mmcv
        mmcv.__version__ = '2.3.0'
        import mmsola
    """
    _, err = run_python(code).communicate(timeout=120)
    assert 'AssertionError: MMCV==2.3.0 is used but incompatible' in err


def test_configs_of_an_editable_mmaction2_are_found_beside_it(tmp_path):
    """Only a regular install makes its folder .mim."""
    shadow = shadow_of_mmaction(tmp_path)
    (shadow / '.mim').unlink(missing_ok=True)
    installed = Path(importlib.util.find_spec('mmaction').origin).parent
    folders = (installed / '.mim' / 'configs', installed.parent / 'configs')
    (tmp_path / 'configs').symlink_to(next(folder for folder in folders if folder.exists()))
    config = tmp_path / 'config.py'
    base = 'localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature.py'
    for name, outcome in ((base, 'BMN'), (base.replace('bmn_', 'cmn_'), 'FileNotFoundError')):
        config.write_text(f"_base_ = 'mmaction::{name}'")
        code = f"""
            import mmsola, mmaction
            from mmengine.config import Config
            assert mmaction.__file__.startswith({str(tmp_path)!r})
            print(Config.fromfile({str(config)!r}).model.type)
        """
        out, err = run_python(code, paths=[tmp_path]).communicate(timeout=120)
        assert outcome in out + err, err


@pytest.mark.parametrize('version', ['4.27.0', '5.0.0', '5.3.1.dev0'])
def test_transformers_that_mmaction2_cannot_use_are_left_alone(tmp_path, version):
    (tmp_path / 'transformers').mkdir()
    (tmp_path / 'transformers' / '__init__.py').write_text('')
    (tmp_path / f'transformers-{version}.dist-info').mkdir()
    metadata = f'Metadata-Version: 2.1\nName: transformers\nVersion: {version}\n'
    (tmp_path / f'transformers-{version}.dist-info' / 'METADATA').write_text(metadata)
    code = """
        import mmsola, mmaction.models
        from mmaction.registry import MODELS
        try:
            MODELS.build(dict(type='VindLURetrieval'))
        except ImportError as error:
            print(error)
    """
    assert 'requires extra multi-modal' in output_of(run_python(code, paths=[tmp_path]))[0]


def test_the_escapes_in_mmaction2_are_not_warned_of():
    # Python 3.12 says it once, where the file is compiled, and a newer one more loudly
    code = """
        import importlib.machinery, pathlib, warnings
        warnings.simplefilter('always')
        kept = importlib.machinery.SourceFileLoader.get_code
        compiled = []
        def get_code(loader, name):
            if not name.endswith('multimodal_metric'):
                return kept(loader, name)
            compiled.append(name)
            return compile(pathlib.Path(loader.path).read_text(), loader.path, 'exec')
        importlib.machinery.SourceFileLoader.get_code = get_code
        import mmsola
        assert compiled
        compile('"\\\\d"', 'other.py', 'exec')  # of others it is said
    """
    _, err = run_python(code).communicate(timeout=120)
    assert err.count('invalid escape sequence') == 1 and 'other.py' in err


def test_a_script_of_others_is_run_with_mmsola_imported_first(tmp_path):
    """MMAction2's own train.py fails before it reads custom_imports."""
    (tmp_path / 'beside.py').write_text('value = 7')
    (tmp_path / 'script.py').write_text(
        'import sys, beside\nfrom mmaction.registry import MODELS\n'
        "print(__name__, sys.argv[1:], beside.value, MODELS.get('SoLa').__name__)"
    )
    command = [sys.executable, '-m', 'mmsola']
    script = [str(tmp_path / 'script.py'), 'a', '--b']
    done = subprocess.run([*command, *script], capture_output=True, text=True)
    assert done.stdout.split('\n')[0] == "__main__ ['a', '--b'] 7 SoLa", done.stderr
    done = subprocess.run([*command, 'nothing.py'], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith('usage: python -m mmsola SCRIPT')


def test_a_folder_of_the_packages_name_is_not_imported_in_its_place(tmp_path):
    """As a clone is called, seen from where it was cloned."""
    (tmp_path / 'mmsola').mkdir()
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    code = 'import importlib.util as i; print(i.find_spec("mmsola").origin)'
    command = [sys.executable, '-c', code]
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    found = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True)
    if found.returncode:
        pytest.skip('mmsola is not installed here, only on the path')
    beside = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert beside.stdout == found.stdout != 'None\n'


@pytest.mark.parametrize('tool', sorted((REPOSITORY / 'tools').rglob('*.py')), ids=lambda p: p.stem)
def test_a_tool_imports_mmsola_before_mmaction2(tool):
    """Which may not be imported without it."""
    nodes = ast.parse(tool.read_text(encoding='utf-8')).body
    imported = [
        name.split('.')[0]
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    ]
    first = [name for name in imported if name in ('mmsola', 'mmaction')][:1]
    beside_run = tool.parent.name == 'benchmarks' and tool.stem != 'run'  # imported by run.py
    assert first in ([], ['mmsola']) or beside_run


def test_apply_twice_changes_nothing():
    state = lambda: (dict(sys.modules), set(torch.serialization.get_safe_globals()))  # noqa: E731
    compat.apply()
    before = state()
    compat.apply()
    assert state() == before


def test_missing_mmcv_names_both_packages():
    out, err = run_python('import mmsola', hide=['mmcv']).communicate(timeout=120)
    assert 'ImportError' in err and 'mmcv-lite' in err and 'or `mmcv`' in err


def test_package_look_ups_agree_with_the_installed_files(tmp_path, monkeypatch):
    assert compat.is_installed('mmaction2') and compat.is_installed('mmaction')
    assert not compat.is_installed('no_such_package')
    assert compat.package2module('mmaction2') == 'mmaction'
    folder = str(Path(importlib.util.find_spec('mmaction').origin).parent)
    assert compat.get_installed_path('mmaction') == folder
    # A clone of the repository in the working directory is no package.
    (tmp_path / 'mmaction2').mkdir()
    (tmp_path / 'a_mere_folder').mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert compat.get_installed_path('mmaction2') == folder
    with pytest.raises(ImportError, match='no_such_package'):
        compat.get_installed_path('no_such_package')
    with pytest.raises(RuntimeError, match='namespace package'):
        compat.get_installed_path('a_mere_folder')


# --- checkpoints ----------------------------------------------------------------------------------


@MODELS.register_module()
class CompatLine(BaseModel):
    """The smallest model a Runner trains."""

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, inputs, mode='loss'):
        """Squared distance to the inputs."""
        product = torch.nn.functional.linear(torch.ones(1, 1), self.weight[None])
        self.seen.append(product.dtype)
        if mode == 'loss':
            return dict(loss=((product - torch.stack(inputs)) ** 2).mean())
        return [torch.zeros(1)]


@DATASETS.register_module()
class CompatNumbers(torch.utils.data.Dataset):
    """Two numbers, and as metainfo what a config hands to a dataset."""

    metainfo = Config(dict(metainfo=dict(timeline=dict(stride_frames=8)))).metainfo

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return dict(inputs=torch.ones(1))


def config_of(work_dir, max_epochs=1, **settings):
    """Config of a Runner that trains `CompatLine` on `CompatNumbers`."""
    return Config(
        dict(
            model=dict(type='CompatLine'),
            work_dir=str(work_dir),
            train_dataloader=dict(
                batch_size=1,
                num_workers=0,
                dataset=dict(type='CompatNumbers'),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.1)),
            experiment_name=f'{Path(work_dir).name}_{max_epochs}',
            **settings,
        )
    )


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A checkpoint of a real Runner, with every kind of number in its message hub."""
    work_dir = tmp_path_factory.mktemp('trained')
    runner = Runner.from_cfg(config_of(work_dir))
    scalars = [np.float64(1), np.float32(1), np.float16(1), np.int64(1), np.int32(1), np.bool_(1)]
    for scalar in scalars:
        runner.message_hub.update_info(type(scalar).__name__, scalar)
    runner.train()
    return work_dir / 'epoch_1.pth'


def test_checkpoint_is_loaded_safely(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    hub = content['message_hub']
    assert hub['runtime_info']['dataset_meta']['timeline'] == dict(stride_frames=8)
    assert hub['runtime_info']['float64'] == 1
    assert hub['log_scalars']['train/loss'].statistics('max') == 1.0


def test_checkpoint_of_the_other_numpy_is_loaded(checkpoint, tmp_path):
    """NumPy 1 writes the module `numpy.core`, NumPy 2 `numpy._core`."""
    written = b'numpy._core.multiarray' if hasattr(np, '_core') else b'numpy.core.multiarray'
    other = {b'numpy._core.multiarray': b'numpy.core.multiarray'}
    other |= {new: old for old, new in other.items()}
    array = tmp_path / 'array.pth'
    torch.save(
        HistoryBuffer([1.0], [1]), array, _use_new_zipfile_serialization=False, pickle_protocol=2
    )
    assert written in array.read_bytes()
    array.write_bytes(array.read_bytes().replace(written, other[written]))
    assert torch.load(array, weights_only=True).current() == 1.0


def test_a_schedule_that_keeps_a_function_is_resumed(tmp_path):
    schedule = dict(type='OneCycleLR', eta_max=0.1, total_steps=8, by_epoch=False)
    Runner.from_cfg(config_of(tmp_path, param_scheduler=schedule)).train()
    resumed = config_of(
        tmp_path / 'on', 2, param_scheduler=schedule, load_from=str(tmp_path / 'epoch_1.pth')
    )
    resumed.resume = True
    runner = Runner.from_cfg(resumed)
    runner.train()
    assert runner.iter == 4


def test_resume_load_from_and_pretrained(checkpoint, tmp_path):
    weight = torch.load(checkpoint, weights_only=True)['state_dict']['weight']
    resumed = config_of(tmp_path / 'resumed', 2, load_from=str(checkpoint), resume=True)
    runner = Runner.from_cfg(resumed)
    runner.train()
    assert runner.iter == 4 and len(runner.message_hub.get_scalar('train/loss').data[0]) == 4

    runner = Runner.from_cfg(config_of(tmp_path / 'loaded', load_from=str(checkpoint)))
    runner.load_or_resume()
    assert torch.equal(runner.model.weight, weight)

    model = CompatLine(init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)))
    model.init_weights()
    assert torch.equal(model.weight, weight)


class Reduced:
    """Is pickled as a call of the reader's choice."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'attack',
    [
        Reduced(os.system, 'touch ATTACKED'),
        Reduced(eval, "open('ATTACKED', 'w')"),
        Reduced(getattr, HistoryBuffer, '__init__'),  # the way to __globals__
        Reduced(getattr, np.ndarray, 'tofile'),
        np.array([0], dtype=object),
    ],
    ids=['system', 'eval', 'getattr', 'getattr of another type', 'array of objects'],
)
def test_malicious_checkpoint_is_still_refused(attack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={}, message_hub=attack), 'attack.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load('attack.pth', weights_only=True)
    assert not Path('ATTACKED').exists()
