r"""Learn which classes happen in whole videos, and write their scores for the videos to test.

Proposals of BMN and its kind have no class. They get the best ones of their video:

mmsola classify mmsola::bmn/bmn_captaincook_pe.py work_dirs/captaincook_pe_classes.json
mmsola test mmsola::bmn/bmn_captaincook_pe.py work_dirs/bmn_captaincook_pe/epoch_9.pth \
    --cfg-options test_evaluator.class_agnostic=False \
    test_evaluator.class_scores.file=work_dirs/captaincook_pe_classes.json
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmaction.registry import DATASETS
from mmaction.utils import register_all_modules
from mmengine.config import Config

from mmsola.datasets import SnippetFeatureDataset
from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.engine.config_file import add_cfg_options, read_config
from mmsola.evaluation.video_classifier import (
    LabelledVideo,
    VideoClassifier,
    classification_figures,
    video_feature,
    write_class_scores,
)
from mmsola.files.name_match import match_names
from mmsola.messages.first_few import first_few
from mmsola.messages.progress import progress

LOADERS = ('train_dataloader', 'test_dataloader')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a localizer: its videos to train and to test on')
    parser.add_argument('out', type=Path, help='json to write')
    parser.add_argument(
        '--regularization-c',
        type=positive,
        default=0.01,
        help='inverse strength of the regularization of the logistic regressions; default 0.01',
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    register_all_modules()
    cfg = read_config(args.config, args.cfg_options)
    training, test = (read(args.config, cfg, loader) for loader in LOADERS)
    in_test = {video.name for video in test}
    matched = match_names({video.name: video for video in training}, in_test)
    twice = sorted(in_test & {matched.get(video.name, video.name) for video in training})
    if twice:
        raise AnnotationError(
            f'{args.config}: {len(twice)} videos are both learned from and scored: '
            f'{first_few(twice)}. Give train_dataloader and test_dataloader different subsets.'
        )
    try:
        classifier = VideoClassifier(args.regularization_c).fit(training)
    except ValueError as error:
        raise AnnotationError(f'{args.config}: {error}') from error
    scores = classifier.scores(test)
    labels = {label for video in test for label in video.labels or ()}
    unknown = sorted(labels - set(classifier.classes))
    # who measures asks for scores of every annotated class
    all_scores = np.pad(scores, ((0, 0), (0, len(unknown))))
    write_class_scores(args.out, all_scores, test, [*classifier.classes, *unknown])
    print(f'{len(classifier.classes)} classes, learned from {count_annotated(training)}')
    if unknown:
        print(f'never learned, so their scores are 0: {first_few(unknown)}')
    figures = classification_figures(scores, test, classifier.classes)
    if figures:
        print(
            f'{count_annotated(test)} to test: mAP of ranking them by class '
            f'{figures["mAP"]:.2f} %; the best class occurs in {figures["top1"]:.1f} % of them'
        )
    print(f'written: {args.out}')


def read(config: str, cfg: Config, loader: str) -> list[LabelledVideo]:
    """The videos of a loader's data set, one feature each."""
    spec = cfg.get(loader, {}).get('dataset')
    if spec and spec.type == 'RepeatDataset':
        spec = spec.dataset  # each video once
    kind = spec and DATASETS.get(spec.type)
    if not (isinstance(kind, type) and issubclass(kind, SnippetFeatureDataset)):
        raise SystemExit(
            f'{config}: {loader} has {spec.type if spec else "no data set"}\n  expected: a '
            'SnippetFeatureDataset, which reads whole videos\n  fix: give this tool a config with '
            'one, such as mmsola::bmn/bmn_captaincook_pe.py'
        )
    dataset = DATASETS.build({**spec, 'pipeline': [], 'bank': None})
    videos = []
    subset = loader.removesuffix('_dataloader')
    entries = (dataset.get_data_info(i) for i in range(len(dataset)))
    for info in progress(entries, f'Reading videos, {subset}', total=len(dataset)):
        name, annotations = info['video_name'], info.get('annotations')
        feature = video_feature(info['feature_store'].read(name))
        if not np.isfinite(feature).all():
            raise FeatureError(
                f'{info["feature_path"]}: holds NaN or Inf\n  expected: numbers\n  fix: extract '
                f'the features of {name} again'
            )
        labels = None if annotations is None else frozenset(a['label'] for a in annotations)
        videos.append(LabelledVideo(name, feature, labels))
    return videos


def count_annotated(videos: Sequence[LabelledVideo]) -> str:
    """How many videos count, and how many do not."""
    num_annotated = sum(video.labels is not None for video in videos)
    others = len(videos) - num_annotated
    return f'{num_annotated} videos' + (f' ({others} are not annotated)' if others else '')


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return value


#: Errors of other libraries whose message is enough.
EXPECTED_ERRORS = (FileNotFoundError,)
