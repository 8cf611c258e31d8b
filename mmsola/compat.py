"""Makes the published stack (PyTorch, NumPy, MMEngine, MMAction2 1.2.0) work together.

Every fix stands behind its own test of whether the thing is really broken, so an install
that is already whole (MMAction2 from source, a newer MMEngine, older PyTorch, NumPy or
setuptools) is left as it is. :func:`apply` runs those that must happen before MMAction2 is
imported.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.config import utils as mmengine_config_utils
from mmengine.hooks import CheckpointHook, checkpoint_hook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.optim import OneCycleParamScheduler
from mmengine.runner import Runner
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.utils import digit_version, package_utils

from mmsola.atomic import replacing
from mmsola.files.shipped_configs import PREFIX, shipped_config


def apply() -> None:
    """Fix what breaks on import; calling it again changes nothing.

    Raises:
        ImportError: Neither ``mmcv-lite`` nor ``mmcv`` is installed.
    """
    require_mmcv()
    # The next four come before anything that imports MMAction2.
    alias_importlib_metadata()
    replace_pkg_resources()
    find_configs_of_the_source()
    find_own_configs()
    import_mmcv_lite_quietly()
    let_mmaction_take_mmcv_2_2()
    leave_out_multimodal_models()
    import_metrics_quietly()
    stand_in_for_drn()
    restore_trapz()
    allow_checkpoint_types()
    download_checkpoints_safely()
    leave_checkpoint_configs()
    write_last_checkpoint_whole()


def require_mmcv() -> None:
    """Say which package is missing instead of a bare "No module named 'mmcv'".

    mmsola cannot depend on one of the two: they share the import name and overwrite each other.

    Raises:
        ImportError: Neither ``mmcv-lite`` nor ``mmcv`` is installed.
    """
    if importlib.util.find_spec('mmcv') is None:
        raise ImportError(
            'mmsola needs MMCV >= 2.0.0, < 2.3.0, and it is not installed. Install one of the two: '
            '`pip install "mmcv-lite<2.3"` (no compiled operators, enough for every localizer) '
            'or `mmcv` built for your PyTorch and CUDA.',
            name='mmcv',
        )


def alias_importlib_metadata() -> None:
    """Let MMAction2 import ``importlib_metadata``, which none of its requirements brings.

    The standard library's module is the same code under another name.
    """
    if importlib.util.find_spec('importlib_metadata') is None:
        sys.modules['importlib_metadata'] = importlib.metadata


def let_mmaction_take_mmcv_2_2() -> None:
    """Import MMAction2 with MMCV 2.2, which it refuses although all that is used of it works.

    MMCV says for this one import that it is 2.1. Newer ones, which nobody has run, are left to
    MMAction2's own assertion.
    """
    try:
        import mmaction  # noqa: F401
    except AssertionError:
        import mmcv

        version = mmcv.__version__
        if digit_version(version)[:2] != (2, 2):
            raise
        mmcv.__version__ = '2.1.0'
        try:
            import mmaction  # noqa: F401
        finally:
            mmcv.__version__ = version
    except ImportError:
        return  # the import that follows says what is wrong


def leave_out_multimodal_models() -> None:
    """Let ``mmaction.models`` be imported beside transformers 5, for which 1.2 was not written.

    MMAction2 goes by "4.28 or newer" and imports functions that are gone. Its placeholders, as
    without transformers, stand for the models that need them.
    """
    if importlib.util.find_spec('mmaction') is None:
        return
    from mmaction.utils import dependency

    if dependency.WITH_MULTIMODAL:
        version = importlib.metadata.version('transformers')
        dependency.WITH_MULTIMODAL = digit_version(version) < digit_version('5.0.0.dev0')


def import_mmcv_lite_quietly() -> None:
    """Import MMCV's transformer without its warning that mmcv-lite has no deformable attention.

    No localizer uses that operator, and the filter holds for this one import only.
    """
    if importlib.util.find_spec('mmcv._ext') is not None:
        return
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')
        import mmcv.cnn.bricks.transformer  # noqa: F401


def import_metrics_quietly() -> None:
    """Import MMAction2's metrics without what Python 3.12 says of the escapes in their source.

    It warns once, where the file is compiled. The filter holds for this one import only.
    """
    if importlib.util.find_spec('mmaction') is None:
        return
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', '.*invalid escape sequence')
        import mmaction.evaluation  # noqa: F401


# --- setuptools >= 81 has no pkg_resources --------------------------------------------------------


def replace_pkg_resources() -> None:
    """Give MMEngine package look-ups that do not need ``pkg_resources``.

    Without them every ``_base_ = 'mmaction::...'`` fails. Not done where ``pkg_resources`` exists
    (``find_spec`` does not import it, which would warn) or where MMEngine no longer asks for it.
    """
    uses_it = 'pkg_resources' in package_utils.get_installed_path.__code__.co_names
    if not uses_it or importlib.util.find_spec('pkg_resources') is not None:
        return
    for replacement in (is_installed, get_installed_path, package2module):
        name = replacement.__name__
        _replace_in_mmengine(name, getattr(package_utils, name), replacement)


def _replace_in_mmengine(name: str, original: object, replacement: object) -> None:
    """In all its modules, since `from ... import` copies a function into several of them."""
    for module_name, module in list(sys.modules.items()):
        if module_name.split('.')[0] == 'mmengine' and vars(module).get(name) is original:
            setattr(module, name, replacement)


def is_installed(package: str) -> bool:
    """Whether ``package`` is an installed distribution or an importable, regular package."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None
    return True


def get_installed_path(package: str) -> str:
    """Folder of the module that ``package`` (a distribution or a module name) installs.

    Raises:
        PackageNotFoundError: There is no such distribution and no such module.
        RuntimeError: It is a namespace package, which has no single folder.
        ValueError: The distribution does not say which module it installs.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        # A namespace spec may be a mere folder of that name in the working directory, such as a
        # clone of mmaction2: an installed distribution goes first.
        try:
            spec = importlib.util.find_spec(package2module(package))
        except importlib.metadata.PackageNotFoundError:
            if spec is None:
                raise
    if spec is None or spec.origin is None:
        raise RuntimeError(f'{package} is a namespace package, it has no single installed path')
    return os.path.dirname(spec.origin)


def package2module(package: str) -> str:
    """Name of the first top-level module of a distribution, ``mmaction`` for ``mmaction2``.

    Raises:
        PackageNotFoundError: There is no such distribution.
        ValueError: The distribution does not say which module it installs.
    """
    modules = importlib.metadata.distribution(package).read_text('top_level.txt')
    if not modules:
        raise ValueError(f'can not infer the module name of {package}')
    return modules.split('\n')[0]


# --- an editable MMAction2 has no .mim ------------------------------------------------------------


def find_configs_of_the_source() -> None:
    """Let ``_base_ = 'mmaction::...'`` find the configs of a package that is installed editable.

    MMEngine looks into the package's folder ``.mim``, which only a regular install makes.
    """
    for name in ('_get_external_cfg_path', '_get_external_cfg_base_path'):
        original = getattr(mmengine_config_utils, name, None)
        if original is None or getattr(original, 'looks_beside', False):
            continue
        _replace_in_mmengine(name, original, _looking_beside(original))


def _looking_beside(original: Callable[[str, str], str]) -> Callable[[str, str], str]:
    @functools.wraps(original)
    def look_beside(package_path: str, cfg_name: str) -> str:
        of_source = Path(package_path).parent / 'configs' / cfg_name
        if not Path(package_path, '.mim').exists() and of_source.exists():
            return str(of_source)
        return original(package_path, cfg_name)

    look_beside.looks_beside = True  # type: ignore[attr-defined]
    return look_beside


def find_own_configs() -> None:
    """Let ``_base_ = 'mmsola::bmn/bmn_demo.py'`` find a config of mmsola.

    MMEngine knows its own projects only, and gives what it finds there the scope of the project.
    Ours are read as a file beside would be: mmsola registers with MMAction2, and has no scope.
    """
    original = Config._get_cfg_path
    if getattr(original, 'finds_own', False):
        return

    @functools.wraps(original)
    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(PREFIX):
            return str(shipped_config(cfg_path)), None
        return original(cfg_path, filename)

    get_cfg_path.finds_own = True  # type: ignore[attr-defined]
    Config._get_cfg_path = staticmethod(get_cfg_path)


# --- MMAction2's DRN: the wheel of 1.2.0 lacks it, the source's imports torchvision ---------------


class DRN:
    """Stands for MMAction2's DRN where that cannot be imported; building one raises ImportError."""

    reason = ''

    # Not in `__init__`, so that a subclass fails at once and not half-way through its own.
    def __new__(cls, *args: Any, **kwargs: Any) -> DRN:
        raise ImportError(f'the localizer DRN cannot be used: {cls.reason}')


def stand_in_for_drn() -> None:
    """Let ``mmaction.models`` be imported although it imports a DRN that cannot be."""
    mmaction = importlib.util.find_spec('mmaction')
    if mmaction is None or mmaction.origin is None:
        return  # the import of MMAction2 that follows says what is wrong
    package_name = 'mmaction.models.localizers.drn'
    if package_name in sys.modules:
        return
    folder = Path(mmaction.origin).parent / 'models' / 'localizers' / 'drn'
    loss = folder / 'drn_utils' / 'loss.py'
    if not (folder / 'drn.py').exists():
        DRN.reason = (
            'the installed MMAction2 does not contain it; install MMAction2 from its source '
            '(https://github.com/open-mmlab/mmaction2/issues/2714)'
        )
    elif (
        importlib.util.find_spec('torchvision') is None
        and loss.exists()
        and 'import torchvision' in loss.read_text(encoding='utf-8')
    ):
        DRN.reason = 'it needs torchvision, which is not installed'
    else:
        return
    from mmaction.registry import MODELS

    package, module = ModuleType(package_name), ModuleType(f'{package_name}.drn')
    for stub in (package, module):
        stub.__spec__ = ModuleSpec(stub.__name__, loader=None, is_package=stub is package)
        stub.DRN = DRN  # type: ignore[attr-defined]
        sys.modules[stub.__name__] = stub
    package.__path__ = []
    # Registered, because "DRN is not in the registry" would not tell how to get it.
    MODELS.register_module(name='DRN', module=DRN)


# --- NumPy 2.4 has no np.trapz --------------------------------------------------------------------


class _NumpyWithTrapz(ModuleType):
    """NumPy, to which a name can be added without anybody else seeing it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def restore_trapz() -> None:
    """Let MMAction2's AR@AN call ``np.trapz``, which NumPy renamed to ``np.trapezoid``.

    Only the one module that calls it sees the old name. Setting ``numpy.trapz`` itself would
    also reach libraries that ask ``hasattr(np, 'trapz')`` to learn which NumPy they run on.
    """
    if hasattr(np, 'trapz'):
        return
    from mmaction.evaluation.functional import accuracy

    calls_it = 'trapz' in accuracy.average_recall_at_avg_proposals.__code__.co_names
    if calls_it and not hasattr(accuracy.np, 'trapz'):
        accuracy.np = _NumpyWithTrapz('numpy')
        accuracy.np.trapz = np.trapezoid


# --- torch >= 2.6 loads with weights_only=True ----------------------------------------------------


def allow_checkpoint_types() -> None:
    """Let PyTorch's *safe* loading accept what an MMEngine checkpoint holds beside tensors.

    The message hub keeps its curves in ``HistoryBuffer`` objects around NumPy arrays, scores are
    NumPy scalars, and ``dataset_meta`` keeps the ``ConfigDict`` of a nested ``metainfo``. All of
    them are plain data: a file that names any other type is still refused.
    """
    if digit_version(torch.__version__) < digit_version('2.6'):
        return  # not the default there, and a type cannot be allowed under a second name
    # Asking NumPy for its reconstructors spares us the names of its private modules ...
    rebuild_array: Any = np.empty(0).__reduce__()[0]
    rebuild_scalar: Any = np.float64(0).__reduce__()[0]
    # ... of which NumPy 1 and NumPy 2 write different ones into the file.
    reconstructors = [
        (function, f'numpy.{core}.multiarray.{function.__name__}')
        for function in (rebuild_array, rebuild_scalar)
        for core in ('core', '_core')
    ]
    number_types = np.typecodes['AllInteger'] + np.typecodes['Float'] + '?'
    dtype_classes = {type(np.dtype(code)) for code in number_types}
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            ConfigDict,
            np.ndarray,
            np.dtype,
            *dtype_classes,
            *reconstructors,
            OneCycleParamScheduler,
            (_listed_attribute, 'builtins.getattr'),
        ]
    )


def _listed_attribute(owner: object, name: str) -> Callable[..., Any]:
    """What a checkpoint gets for ``getattr``: plain functions that MMEngine lists, no more.

    The real ``getattr`` would open the whole interpreter to the file.
    """
    for known, names in (
        (HistoryBuffer, ('min', 'max', 'current', 'mean')),
        (OneCycleParamScheduler, ('_annealing_cos', '_annealing_linear')),
    ):
        if owner is known and name in names:
            return getattr(known, name)
    raise pickle.UnpicklingError(f'getattr({owner!r}, {name!r}) is not allowed in a checkpoint')


def download_checkpoints_safely() -> None:
    """Let MMEngine load a checkpoint from an address as safely as one from a file.

    PyTorch's ``load_state_dict_from_url`` unpickles whatever it downloaded unless it is asked not
    to, and MMEngine does not ask. All its schemes (``https://``, ``torchvision://``, ...) end here.
    """
    if getattr(mmengine_checkpoint, 'load_url', None) is None:
        return  # another MMEngine downloads in another way
    mmengine_checkpoint.load_url = functools.partial(
        torch.hub.load_state_dict_from_url, weights_only=True
    )


def leave_checkpoint_configs() -> None:
    """Let MMEngine not execute the config that a checkpoint holds.

    ``Runner.resume`` runs the text in ``meta['config']`` as Python, to compare numbers of GPUs with
    what long past versions wrote there. Those of today write ``meta['cfg']``, which nobody runs.
    """
    original = Runner.load_checkpoint
    if getattr(original, 'leaves_config', False):
        return

    @functools.wraps(original)
    def load_checkpoint(self: Runner, filename: str, *args: Any, **kwargs: Any) -> Any:
        checkpoint = original(self, filename, *args, **kwargs)
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        if isinstance(meta, dict) and meta.pop('config', None) is not None:
            print_log(f'{filename}: holds a config, which is not executed.', 'current')
        return checkpoint

    load_checkpoint.leaves_config = True  # type: ignore[attr-defined]
    Runner.load_checkpoint = load_checkpoint


def write_last_checkpoint_whole() -> None:
    """Let MMEngine write ``last_checkpoint`` beside and rename it: a kill would leave it empty."""
    calls_open = 'open' in CheckpointHook._save_checkpoint_with_step.__code__.co_names
    if calls_open and 'open' not in vars(checkpoint_hook):
        checkpoint_hook.open = _open_whole


@contextmanager
def _open_whole(path: str, mode: str = 'r') -> Iterator[IO]:
    if 'w' not in mode:
        with open(path, mode) as file:
            yield file
        return
    with replacing(path) as partial, partial.open(mode) as file:
        yield file
