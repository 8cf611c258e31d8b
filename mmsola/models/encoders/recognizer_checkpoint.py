"""Load a recognizer's weights, strictly but for its classifier."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from mmsola.models.checkpoint_file import CheckpointError, misfits, read_state_dict, the_one_file

_CLASSIFIER = 'cls_head.'


def load_recognizer_weights(model: nn.Module, checkpoint: str | Path, config: str) -> bool:
    """Load all weights of backbone and neck; whether those of the classifier came along.

    A classifier of other classes is left as it is, since features do not depend on it.

    Raises:
        CheckpointError: The checkpoint cannot be read, or a weight is missing, left over or of
            another shape; the message names them.
    """
    file = the_one_file(checkpoint)
    found = {key.removeprefix('module.'): value for key, value in read_state_dict(file).items()}
    wanted = model.state_dict()
    of_features = [key for key in wanted if not key.startswith(_CLASSIFIER)]
    problems = misfits(
        {key: wanted[key] for key in of_features}, found, left_over=('backbone.', 'neck.')
    )
    if problems:
        raise CheckpointError(
            f'{file}: does not fit {config}\n' + problems + '  expected: the weights of '
            'this very backbone (and neck)\n  fix: name the checkpoint that was trained with this '
            'config'
        )
    of_classifier = [key for key in wanted if key.startswith(_CLASSIFIER)]
    with_classifier = all(
        key in found and found[key].shape == wanted[key].shape for key in of_classifier
    )
    chosen = [*of_features, *(of_classifier if with_classifier else [])]
    model.load_state_dict({**wanted, **{key: found[key] for key in chosen}})
    return with_classifier
