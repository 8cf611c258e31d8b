from mmsola.engine.atomic_backend import AtomicLocalBackend
from mmsola.engine.exact_resume_hook import ExactResumeHook
from mmsola.engine.gate_warmup_hook import GateWarmupHook
from mmsola.engine.tsm_hook import TSMVisualizationHook
from mmsola.engine.validate_first_hook import ValidateAtResumeHook, ValidateFirstHook

__all__ = [
    'AtomicLocalBackend',
    'ExactResumeHook',
    'GateWarmupHook',
    'TSMVisualizationHook',
    'ValidateAtResumeHook',
    'ValidateFirstHook',
]
