from mmsola.engine.atomic_backend import AtomicLocalBackend
from mmsola.engine.captured_train_loop import CapturedTrainLoop
from mmsola.engine.checkpoint_fits_hook import CheckpointFitsHook
from mmsola.engine.class_names_hook import ClassNamesHook
from mmsola.engine.deferred_scalars_hook import DeferredScalarsHook
from mmsola.engine.exact_resume_hook import ExactResumeHook
from mmsola.engine.feature_statistics_hook import FeatureStatisticsHook
from mmsola.engine.gate_warmup_hook import GateWarmupHook
from mmsola.engine.learnable_segments_hook import LearnableSegmentsHook
from mmsola.engine.mixed_precision import BFloat16OptimWrapper
from mmsola.engine.provenance_hook import ProvenanceHook
from mmsola.engine.sync_buffers_hook import SyncBuffersHook
from mmsola.engine.tsm_hook import TSMVisualizationHook
from mmsola.engine.validate_first_hook import ValidateAtResumeHook, ValidateFirstHook

__all__ = [
    'AtomicLocalBackend',
    'BFloat16OptimWrapper',
    'CapturedTrainLoop',
    'CheckpointFitsHook',
    'ClassNamesHook',
    'DeferredScalarsHook',
    'ExactResumeHook',
    'FeatureStatisticsHook',
    'GateWarmupHook',
    'LearnableSegmentsHook',
    'ProvenanceHook',
    'SyncBuffersHook',
    'TSMVisualizationHook',
    'ValidateAtResumeHook',
    'ValidateFirstHook',
]
