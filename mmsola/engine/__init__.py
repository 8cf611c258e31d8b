from mmsola.engine.atomic_backend import AtomicLocalBackend
from mmsola.engine.gate_warmup_hook import GateWarmupHook
from mmsola.engine.tsm_hook import TSMVisualizationHook
from mmsola.engine.validate_first_hook import ValidateFirstHook

__all__ = [
    'AtomicLocalBackend',
    'GateWarmupHook',
    'TSMVisualizationHook',
    'ValidateFirstHook',
]
