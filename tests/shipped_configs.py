"""The configs of this repository, without those that somebody added to its folders."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def shipped_configs(root: Path = ROOT) -> dict[str, Path]:
    """Those that git knows, by name; without git, all there are."""
    listed = subprocess.run(
        ['git', 'ls-files', '--', 'configs/*/*.py'], cwd=root, capture_output=True, text=True
    )
    files = [root / line for line in listed.stdout.splitlines()]
    files = [file for file in files if file.exists()] or sorted(root.glob('configs/*/*.py'))
    return {file.stem: file for file in files if '_base_' not in file.parts}
