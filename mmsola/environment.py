"""What a report of a problem needs to know about a machine: versions, processors, GPUs.

It imports nothing of mmsola, so that ``python mmsola/environment.py`` still works in a clone where
``import mmsola`` fails. MMEngine's ``collect_env`` needs ``distutils`` and every package in order.
"""

from __future__ import annotations

import os
import platform
import runpy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Names on package indexes; mmcv and mmcv-lite are two of them with one import name.
PACKAGES = (
    'torch',
    'torchvision',
    'mmengine',
    'mmcv',
    'mmcv-lite',
    'mmaction2',
    'numpy',
    'scipy',
    'scikit-learn',
    'h5py',
    'av',
)
_PACKAGE_FOLDER = Path(__file__).resolve().parent


def describe() -> str:
    """Versions, processors, threads and GPUs, one ``name: value`` a line.

    A package that is missing, or a PyTorch that cannot be imported, is one of the values: this
    raises nothing.
    """
    facts = {
        'mmsola': _own_version(),
        'Python': f'{platform.python_implementation()} {platform.python_version()}',
        'system': platform.platform(),
        **{name: _installed(name) for name in PACKAGES},
        'CPUs': f'{_usable_cpus()} of {os.cpu_count()} usable',
        'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', 'not set'),
        **_of_torch(),
    }
    return '\n'.join(f'{name}: {value}' for name, value in facts.items())


def main() -> None:
    """Print the description, to be pasted into a report."""
    print(describe())


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return 'not installed'


def _own_version() -> str:
    """Version of these files, not of an installed mmsola, and the commit they are of."""
    facts = runpy.run_path(str(_PACKAGE_FOLDER / 'version.py'))
    commit = facts['commit']()
    return facts['__version__'] + (f', commit {commit}' if commit else ', of an unknown commit')


def _usable_cpus() -> int | None:
    """CPUs this process may run on; a container or a queue often grants fewer than there are."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _of_torch() -> dict[str, str]:
    try:
        import torch

        threads = torch.get_num_threads()
        cuda = torch.version.cuda or 'none, a build for the CPU'
        gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    except Exception as error:  # whatever a broken installation or driver raises is worth a line
        message = ' '.join(str(error).split())
        return {'PyTorch at work': f'{type(error).__name__}: {message}'}
    return {
        'threads of PyTorch': str(threads),
        'CUDA of PyTorch': cuda,
        'GPUs': ', '.join(gpus) or 'none',
    }


if __name__ == '__main__':
    main()
