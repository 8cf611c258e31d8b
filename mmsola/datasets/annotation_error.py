"""What is wrong with annotations: found, expected and how to fix it."""

from __future__ import annotations


class AnnotationError(ValueError):
    """An annotation that cannot be used; says file, video, found, expected and how to fix it."""


def annotation_error(found: str, expected: str, fix: str) -> AnnotationError:
    """The error with these three lines."""
    # One text, not three arguments: DataLoader workers rebuild an exception from its message alone.
    return AnnotationError(f'{found}\n  expected: {expected}\n  fix: {fix}')
