"""The points of a pyramid: where they lie, what they learn, and what becomes of their outputs."""

from mmsola.models.points import center_assigner, cost_assigner  # noqa: F401  they are registered
