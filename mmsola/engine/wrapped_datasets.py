"""The data sets inside of MMEngine's wrappers, which repeat or join them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset


def datasets_in(dataset: Any) -> list[Any]:
    """The data sets themselves, each once: of RepeatDataset its own, of ConcatDataset its parts."""
    if isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
        return datasets_in(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        return [inner for part in dataset.datasets for inner in datasets_in(part)]
    return [dataset]


def dataset_configs(cfg: Mapping[str, Any]) -> list[Any]:
    """The same of a config: settings of the data sets inside of their wrappers.

    Examples:
        >>> videos = dict(type='SnippetFeatureDataset')
        >>> dataset_configs(dict(type='RepeatDataset', times=4, dataset=videos))
        [{'type': 'SnippetFeatureDataset'}]
    """
    inner = cfg.get('datasets') or ([cfg['dataset']] if 'dataset' in cfg else [])
    return [part for config in inner for part in dataset_configs(config)] or [cfg]
