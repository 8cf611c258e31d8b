"""The table of what pretrained SoLa features gain over features without it."""

from __future__ import annotations

from collections.abc import Iterable

from mmsola.evaluation.seeds import Gain


def gain_table(gains: Iterable[Gain], num_seeds: int) -> list[str]:
    """Markdown: what each figure gains, and whether that is more than noise."""
    lines = [
        '| figure | reference | | SoLa | gain, mean ± std | 95 % interval of the mean |',
        '| --- | --- | --- | --- | --- | --- |',
    ]
    for g in gains:
        spread, interval = f' ± {g.std:.4f}', f'[{g.low:+.4f}, {g.high:+.4f}]'
        if num_seeds == 1:
            spread, interval = '', 'one seed has none'
        lines.append(
            f'| {g.metric} | {g.reference} | {g.reference_value:.4f} | {g.sola:.4f} '
            f'| {g.gain:+.4f}{spread} | {interval} |'
        )
    return lines
