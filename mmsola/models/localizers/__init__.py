"""MMAction2's localizers, each accepting ``neck=``, under their own names; and those it lacks."""

import inspect

import mmaction.models  # noqa: F401  the stock ones must be registered before they are replaced
from mmaction.registry import MODELS

from mmsola import compat
from mmsola.models.localizers.actionformer import ActionFormer
from mmsola.models.localizers.bmn import BMN
from mmsola.models.localizers.bsn import PEM, TEM
from mmsola.models.localizers.end_to_end import EndToEndLocalizer
from mmsola.models.localizers.gtad import GTAD
from mmsola.models.localizers.one_stage import OneStageLocalizer
from mmsola.models.localizers.snippet_neck import SnippetNeckMixin
from mmsola.models.localizers.tcanet import TCANet
from mmsola.models.localizers.temporalmaxer import TemporalMaxer
from mmsola.models.localizers.tridet import TriDet

__all__ = [
    'BMN',
    'ActionFormer',
    'EndToEndLocalizer',
    'GTAD',
    'OneStageLocalizer',
    'PEM',
    'SnippetNeckMixin',
    'TCANet',
    'TEM',
    'TemporalMaxer',
    'TriDet',
]

#: Those that are one pipeline with exchangeable parts, and name what they find.
ONE_STAGE: list[type] = [ActionFormer, TemporalMaxer, TriDet]

_LOCALIZERS: list[type] = [BMN, TEM, PEM, TCANet]
if MODELS.get('DRN') is not compat.DRN:
    from mmsola.models.localizers.drn import DRN

    __all__.append('DRN')
    _LOCALIZERS.append(DRN)


def register() -> list[str]:
    """Let existing configs build the localizers above; returns the names that were replaced.

    One whose stock class has learned ``neck`` itself is left alone. Calling it again changes
    nothing.
    """
    replaced = []
    for localizer in _LOCALIZERS:
        name = localizer.__name__
        registered = MODELS.get(name)
        stock = next(c for c in localizer.__mro__ if c.__module__.startswith('mmaction.'))
        if registered is stock and 'neck' not in inspect.signature(stock.__init__).parameters:
            MODELS.register_module(name=name, module=localizer, force=True)
            replaced.append(name)
    return replaced


register()
