"""The points of a pyramid: where they lie, what they learn, and what becomes of their outputs."""

from mmsola.models.points import (  # noqa: F401  they are registered
    center_assigner,
    cost_assigner,
    segment_nms,
)
