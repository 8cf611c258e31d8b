"""What pyproject.toml cannot say: the files that a wheel and an sdist carry beside the package.

The package itself is described in pyproject.toml.
"""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
VERSION = runpy.run_path(str(ROOT / 'mmsola' / 'version.py'))  # mmsola cannot be imported yet
#: What OpenMIM looks for in the folder .mim of an installed package, as MMAction2's wheel has it.
OF_MIM = ('configs', 'tools', 'model-index.yml')


def known_files() -> list[Path]:
    """The files of :data:`OF_MIM` that git knows; in an sdist, all of them."""
    listed: list[str] = []
    if (ROOT / '.git').exists():
        command = ['git', '-C', str(ROOT), 'ls-files', '-z', '--', *OF_MIM]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
            listed = done.stdout.split('\0')[:-1] if done.returncode == 0 else []
        except OSError:  # no git
            pass
        if not listed:
            print('warning: git does not list its files here, so all configs and tools are taken')
    if listed:
        return [Path(name) for name in listed if (ROOT / name).is_file()]
    found = [path for name in OF_MIM for path in ((ROOT / name), *(ROOT / name).rglob('*'))]
    return [
        path.relative_to(ROOT)
        for path in found
        if path.is_file() and '__pycache__' not in path.parts
    ]


def write_commit(package: Path) -> None:
    """Record the commit in a copy of the package, which has no history of its own."""
    (package / VERSION['COMMIT_FILE']).write_text(VERSION['commit']() or '', encoding='utf-8')


class BuildWithMim(build_py):
    """Puts the folder .mim into a wheel; an editable install finds the same files in the clone."""

    def run(self) -> None:
        package = Path(self.build_lib) / 'mmsola'
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(package, ignore_errors=True)  # a build before this one had other files
        super().run()
        for file in known_files():
            target = package / '.mim' / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, target)
        write_commit(package)


class SdistOfKnownFiles(sdist):
    """Leaves out configs and tools that git does not know, and records the commit."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        known = {str(path) for path in known_files()}
        kept = [name for name in files if Path(name).parts[0] not in OF_MIM or name in known]
        super().make_release_tree(base_dir, kept)
        write_commit(Path(base_dir) / 'mmsola')


setup(cmdclass={'build_py': BuildWithMim, 'sdist': SdistOfKnownFiles})
