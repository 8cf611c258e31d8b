"""Segments, and what data sets, localizers, evaluation and inference all do to them."""

from mmsola.structures.candidates import Candidates
from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.structures.segment_nms import SegmentNMS
from mmsola.structures.temporal_iou import temporal_iou
from mmsola.structures.video_record import Segment, VideoRecord

__all__ = [
    'Candidates',
    'LabelledSegments',
    'Segment',
    'SegmentNMS',
    'VideoRecord',
    'temporal_iou',
]
