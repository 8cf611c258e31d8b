"""Installs mmsola; every bound below names the fact that sets it."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """Read the version without importing mmsola, whose requirements may not be there yet."""
    namespace: dict = {}
    exec((ROOT / 'mmsola' / 'version.py').read_text(encoding='utf-8'), namespace)
    return namespace['__version__']


def readme() -> str:
    """Text of the project page."""
    path = ROOT / 'README.md'
    return path.read_text(encoding='utf-8') if path.exists() else ''


setup(
    name='mmsola',
    version=version(),
    description='SoLa (Soft-Landing) for temporal action localization: a plugin for MMAction2',
    long_description=readme(),
    long_description_content_type='text/markdown',
    author='the mmsola authors',
    license='Apache-2.0',
    # With package_dir an editable install is a path, and no import hook. A hook comes after the
    # working directory, where a folder mmsola, as a clone is, would be imported and be empty.
    package_dir={'': '.'},
    packages=find_packages(include=['mmsola', 'mmsola.*']),
    package_data={'mmsola': ['visualization/*.jinja']},
    python_requires='>=3.10',  # what today's PyTorch (2.13) asks for
    # mmcv and mmcv-lite share one import name and overwrite each other, so neither is required
    # here: take the extra `lite`, or install mmcv yourself.
    install_requires=[
        'torch>=2.6',  # loads MMEngine's checkpoints safely; developed with 2.13
        'mmengine>=0.10.3,<1',  # 0.10.3 keeps every process's results in a distributed evaluation
        'mmaction2>=1.2,<2',  # 1.2 brought TCANet; its localizers are subclassed, 2 may change them
        'av>=15',  # 15 tells covers from films
        'numpy>=1.26',  # as others without a reason: the oldest that tools/test_matrix.sh ran
        'jinja2',
        'h5py>=3.10',
        'psutil',
        'matplotlib>=3.8',
        'scikit-learn>=1.6',  # GroupKFold(shuffle=True)
        'scipy>=1.12',
        'tensorboard',
        'tqdm',
    ],
    extras_require={
        'lite': ['mmcv-lite>=2.0.0,<2.3'],  # 2.0 to 2.2 were run; MMAction2 1.2 itself stops at 2.2
        'test': [
            'pytest',
            'pytest-xdist',
            'ruff>=0.17,<0.18',  # another minor version formats differently
            'mypy',
        ],
    },
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
