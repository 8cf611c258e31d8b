r"""Learn which classes happen in whole videos, and write their scores for the videos to test.

Proposals of BMN and its kind have no class. They get the best ones of their video:

python tools/classify_videos.py configs/bmn_captaincook_pe.py work_dirs/captaincook_pe_classes.json
python tools/test.py configs/bmn_captaincook_pe.py work_dirs/bmn_captaincook_pe/epoch_9.pth \
    --cfg-options test_evaluator.class_agnostic=False \
    test_evaluator.class_scores.file=work_dirs/captaincook_pe_classes.json
"""

import argparse
from pathlib import Path

import mmsola  # noqa: F401  before MMAction2, which it makes work

# isort: split
from mmaction.registry import DATASETS
from mmaction.utils import register_all_modules
from mmengine.config import Config, ConfigDict, DictAction
from tqdm import tqdm

from mmsola.datasets import SnippetFeatureDataset
from mmsola.datasets.annotations import AnnotationError
from mmsola.datasets.untrimmed_videos import named
from mmsola.engine.command_line import run
from mmsola.evaluation.video_classifier import (
    LabelledVideo,
    VideoClassifier,
    classification_figures,
    video_feature,
    write_class_scores,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a localizer: its videos to train and to test on')
    parser.add_argument('out', type=Path, help='json to write')
    parser.add_argument(
        '--regularization-c',
        type=float,
        default=0.01,
        help='inverse strength of the regularization of the logistic regressions; default 0.01',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='as in train.py'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    register_all_modules()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    training = read(args.config, 'train_dataloader', cfg.train_dataloader.dataset)
    test = read(args.config, 'test_dataloader', cfg.test_dataloader.dataset)
    twice = sorted({video.name for video in training} & {video.name for video in test})
    if twice:
        raise AnnotationError(
            f'{args.config}: {len(twice)} videos are both learned from and scored: '
            f'{named(twice)}. Give train_dataloader and test_dataloader different subsets.'
        )
    classifier = VideoClassifier(args.regularization_c).fit(training)
    scores = classifier.scores(test)
    write_class_scores(args.out, scores, test, classifier.classes)
    print(f'{len(classifier.classes)} classes, learned from {len(training)} videos')
    labels = {label for video in test for label in video.labels}
    unknown = sorted(labels - set(classifier.classes))
    if unknown:
        print(f'never learned, though some videos to test have them: {named(unknown)}')
    if labels & set(classifier.classes):
        figures = classification_figures(scores, test, classifier.classes)
        print(
            f'{len(test)} videos to test: mAP of ranking them by class {figures["mAP"]:.2f} %; '
            f'the best class occurs in {figures["top1"]:.1f} % of them'
        )
    print(f'written: {args.out}')


def read(config: str, loader: str, spec: ConfigDict) -> list[LabelledVideo]:
    """The videos of a loader's data set, one feature each."""
    dataset = DATASETS.build({**spec, 'pipeline': []})
    if not isinstance(dataset, SnippetFeatureDataset):
        raise SystemExit(
            f'{config}: {loader} has the data set {type(dataset).__name__}; expected '
            'SnippetFeatureDataset, which reads whole videos.'
        )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [
        LabelledVideo(
            info['video_name'],
            video_feature(info['feature_store'].read(info['video_name'])),
            frozenset(annotation['label'] for annotation in info.get('annotations', ())),
        )
        for info in tqdm(infos, desc=loader.removesuffix('_dataloader'), unit='video')
    ]


if __name__ == '__main__':
    run(main)
