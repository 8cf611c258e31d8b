"""MkDocs hook: one page for every public module of the package, and their tree in the navigation.

The pages are made from the files that are there, so that a renamed module needs no change here.
They exist in the build alone. mkdocstrings reads the modules without importing them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGE = 'mmsola'
SECTION = 'Reference'  # the entry of nav in mkdocs.yml that the tree stands for


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    tree = _navigation(_root(config) / PACKAGE, PACKAGE)
    config.nav = [{SECTION: tree} if SECTION in entry else entry for entry in config.nav]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, name in _modules(_root(config) / PACKAGE, PACKAGE):
        files.append(File.generated(config, page_of(path, name), content=_content(path, name)))
    return files


def page_of(path: Path, name: str) -> str:
    """Page of a module, or of a package whose folder is ``path``, below docs/."""
    page = f'reference/{name.replace(".", "/")}'
    return f'{page}/index.md' if path.is_dir() else f'{page}.md'


def _content(path: Path, name: str) -> str:
    if not path.is_dir():
        return f'# {name}\n\n::: {name}\n'
    # what a package imports is described where it is defined
    lines = [f'# {name}', '', f'::: {name}', '    options:', '      members: false', '']
    for child in _children(path):
        page = f'{child.stem}/index.md' if child.is_dir() else f'{child.stem}.md'
        lines.append(f'- [{child.stem}]({page})')
    return '\n'.join(lines) + '\n'


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent


def _children(folder: Path) -> list[Path]:
    """Packages first, then modules, each by name; what begins with an underscore is private."""
    found = [
        path
        for path in folder.iterdir()
        if not path.name.startswith('_')
        and (path.suffix == '.py' or (path / '__init__.py').is_file())
    ]
    return sorted(found, key=lambda path: (not path.is_dir(), path.name))


def _modules(path: Path, name: str) -> list[tuple[Path, str]]:
    """A module or package, and all that is in it, with their dotted names."""
    found = [(path, name)]
    if path.is_dir():
        for child in _children(path):
            found += _modules(child, f'{name}.{child.stem}')
    return found


def _navigation(folder: Path, name: str) -> list[Any]:
    entries: list[Any] = [page_of(folder, name)]
    for path in _children(folder):
        child = f'{name}.{path.stem}'
        is_package = path.is_dir()
        page = _navigation(path, child) if is_package else page_of(path, child)
        entries.append({path.stem: page})
    return entries
