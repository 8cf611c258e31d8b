"""The encoder that made a folder of features, built from the settings in that folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmsola.apis.extraction import MANIFEST, ExtractionError
from mmsola.apis.manifest import read_manifest, sha256_of
from mmsola.apis.plain_config import check_plain
from mmsola.files.json_file import is_positive
from mmsola.models.checkpoint_file import the_one_file
from mmsola.models.encoders import SnippetEncoder


def encoder_of(
    features: str | Path, device: str | torch.device = 'cpu', checkpoint: str | Path | None = None
) -> tuple[SnippetEncoder, float | None]:
    """The encoder that made a folder of features, and the fps it brought videos to if it did.

    Args:
        features: The folder, or its ``_extraction.json``.
        device: Where it runs.
        checkpoint: Its weights, or a pattern that one file matches, if their file was moved.

    Raises:
        ExtractionError: There is no manifest, or the checkpoint's content is another one by now.
        ConfigNotPlainError: The manifest names code or files.
    """
    manifest = Path(features)
    if manifest.name != MANIFEST:
        manifest = manifest / MANIFEST
    content = read_manifest(manifest, ExtractionError)
    if content is None or 'model' not in content:
        raise ExtractionError(
            f'{manifest}: not there, so how these features were made is not known. Expected the '
            "folder that mmsola extract wrote; or name the encoder's config and "
            'checkpoint.'
        )
    for key in ('model', 'frame_pipeline', 'snippet_pipeline'):
        check_plain(content.get(key), f'{manifest}: {key}')
    _check_settings(manifest, content)
    file = the_one_file(checkpoint) if checkpoint else Path(content['checkpoint'])
    is_there = os.path.isfile(file)  # False too for what can be no path
    if not is_there or sha256_of(file) != content['checkpoint_sha256']:
        raise ExtractionError(
            f'{manifest}: the features were made with {file} '
            f'(sha256 {content["checkpoint_sha256"][:12]}...), which is '
            f'{"another file by now" if is_there else "not there any more"}; name the right '
            'one, or extract the features again.'
        )
    frames = {'snippet_frames', 'frame_interval', 'stride_frames', 'amp'}
    # json knows no tuples, and MMAction2's transforms insist on them
    pipeline = [_with_tuples(s) for s in content['frame_pipeline'] + content['snippet_pipeline']]
    cfg = Config(
        {
            'model': _with_tuples(content['model']),
            'val_dataloader': {'dataset': {'pipeline': pipeline}},
        }
    )
    settings = {key: content[key] for key in frames}
    encoder = SnippetEncoder(cfg, file, **settings, device=device, name=str(manifest))
    return encoder, content['fps']


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _check_settings(manifest: Path, content: dict[str, Any]) -> None:
    """Refuse a manifest that lacks a setting, or has one that makes no sense."""
    for key, is_right, expected in (
        ('model', lambda v: isinstance(v, dict), 'an object {...}'),
        ('frame_pipeline', _is_pipeline, 'a list of objects {...}'),
        ('snippet_pipeline', _is_pipeline, 'a list of objects {...}'),
        ('checkpoint', lambda v: isinstance(v, str), 'a path'),
        ('checkpoint_sha256', lambda v: isinstance(v, str), 'a hash'),
        ('snippet_frames', _is_count, 'a whole number above 0'),
        ('frame_interval', _is_count, 'a whole number above 0'),
        ('stride_frames', _is_count, 'a whole number above 0'),
        ('amp', lambda v: isinstance(v, bool), 'true or false'),
        ('fps', lambda v: v is None or is_positive(v), 'a number above 0, or null'),
    ):
        if key not in content or not is_right(content[key]):
            found = repr(content[key])[:80] if key in content else 'not there'
            raise ExtractionError(
                f'{manifest}: {key} is {found}\n  expected: {expected}\n  fix: extract the '
                "features again, or name the encoder's config and checkpoint yourself"
            )


def _is_pipeline(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(step, dict) for step in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and is_positive(value)
