"""Pictures of temporal self-similarity: what is drawn where, for every kind of video."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from mmsola.evaluation.self_similarity import temporal_self_similarity
from mmsola.visualization.tsm import draw_tsm, figure_to_rgb, save_rgb

CENTRES_SEC = np.arange(20) * 0.5 + 0.25  # stride 0.5 s: the video lasts 10 s
SEGMENTS = [
    dict(segment=[1.0, 3.0], label='jump'),
    dict(segment=[6.0, 9.5], label='run'),
]


def features(num_snippets=20, names=('before', 'after')):
    torch.manual_seed(0)
    return {name: torch.randn(num_snippets, 6) for name in names}


def panels_of(figure):
    return [axes for axes in figure.axes if axes.images and axes.get_title()]


def bars_of(panel):
    """Bars above and beside a panel, as (start, end) in the units of its axes."""
    above, beside = [], []
    for bar in panel.patches:
        x, y = bar.get_xy()
        if is_above(panel, bar):
            assert y >= 1, 'outside of the image'
            above.append((x, x + bar.get_width()))
        else:
            assert x >= 1, 'outside of the image'
            beside.append((y, y + bar.get_height()))
    return above, beside


def is_above(panel, bar):
    """Whether the bar lies along the horizontal axis: its x is data, its y a part of the panel."""
    return bar.get_data_transform().contains_branch_seperately(panel.transData) == (True, False)


@pytest.mark.parametrize('num_snippets', [1023, 1024, 6000])
def test_a_long_video_is_averaged_to_the_resolution_of_the_picture(num_snippets):
    """The picture of 6,000 x 6,000 took 2.5 GB."""
    shown = features(num_snippets, names=('before',))
    (panel,) = panels_of(draw_tsm(shown, 'v_abc', np.arange(num_snippets) * 0.5, SEGMENTS))
    (image,) = panel.images
    assert image.get_array().shape == (512, 512)
    left, right, bottom, top = image.get_extent()
    assert (left, right) == (top, bottom) == (-0.25, num_snippets / 2 - 0.25)
    if num_snippets == 1024:
        whole = temporal_self_similarity(shown['before'])
        expected = whole.reshape(512, 2, 512, 2).mean((1, 3))
        np.testing.assert_allclose(image.get_array(), expected, atol=1e-6)


@pytest.mark.parametrize('names', [('before',), ('before', 'after'), ('a', 'b', 'c')])
def test_each_feature_has_one_image_on_a_common_scale(names):
    shown = features(names=names)
    figure = draw_tsm(shown, 'v_abc', CENTRES_SEC, SEGMENTS)
    panels = panels_of(figure)
    assert len(panels) == len(names)
    low, high = panels[0].images[0].get_clim()
    assert -1 <= low == -high < 0  # features of both signs
    for panel, (name, feature) in zip(panels, shown.items()):
        (image,) = panel.images
        assert image.get_clim() == (low, high)
        assert np.array_equal(image.get_array(), temporal_self_similarity(feature).numpy())
        assert panel.get_title().startswith(f'{name}: mean similarity ')
    assert len({panel.images[0].get_cmap().name for panel in panels}) == 1
    assert figure.get_suptitle() == 'v_abc'


def bar_of(figure):
    """The axes of the colour bar."""
    return figure.axes[-1]


def off_diagonal(image):
    matrix = np.asarray(image.get_array())
    return matrix[~np.eye(len(matrix), dtype=bool)]


@pytest.mark.parametrize('spread', [1.0, 0.3, 0.05])
def test_features_behind_a_relu_have_all_colours_and_the_range_is_written(spread):
    """On a scale from -1 to 1 they filled a square of one colour."""
    torch.manual_seed(0)
    positive = torch.relu(1 + spread * torch.randn(20, 6))
    figure = draw_tsm({'before': positive, 'after': positive + 0.1}, 'v_abc')
    images = [panel.images[0] for panel in panels_of(figure)]
    (low, high), *others = {image.get_clim() for image in images}
    assert not others
    pairs = np.concatenate([off_diagonal(image) for image in images])
    assert ((pairs >= low) & (pairs <= high)).mean() > 0.97
    assert high - low < 1.5 * np.ptp(pairs) and 0 <= low < high <= 1
    assert images[0].get_cmap().name == 'viridis'  # nothing below 0 that needs another hue
    label = bar_of(figure).get_ylabel()
    start, end = re.fullmatch(r'cosine similarity, colours from (\S+) to (\S+)', label).groups()
    assert (float(start), float(end)) == (low, high)
    ticks = [float(text.get_text()) for text in bar_of(figure).get_yticklabels()]
    assert ticks == sorted(ticks) and (ticks[0], ticks[-1]) == (low, high)


def test_one_odd_snippet_does_not_choose_the_range():
    torch.manual_seed(0)
    alike = 1 + 0.1 * torch.rand(400, 6)
    odd = alike.clone()
    odd[7] = -1
    of_alike, of_odd = (
        panels_of(draw_tsm({'before': x}, 'v'))[0].images[0].get_clim() for x in (alike, odd)
    )
    assert of_odd == pytest.approx(of_alike, abs=5e-4) and of_alike[0] > 0.99


def test_zero_is_the_middle_of_the_colours_where_similarities_have_both_signs():
    torch.manual_seed(0)
    before, after = torch.rand(20, 6) + 1, torch.randn(20, 6)
    for panel in panels_of(draw_tsm({'before': before, 'after': after}, 'v')):
        low, high = panel.images[0].get_clim()
        assert low == -high and high > 0.99  # those of the first panel, too
        assert panel.images[0].get_cmap()(0.5)[:3] == pytest.approx((0.97, 0.97, 0.97), abs=0.01)


SOME_NAN = torch.eye(20)[:, :6] + 1
SOME_NAN[3:5, 0] = np.nan
SOME_NAN[8, 0] = np.inf


@pytest.mark.parametrize(
    ('feature', 'sentence'),
    [
        (torch.ones(1, 6), 'no two snippets to compare'),
        (torch.full((20, 6), np.nan), 'no two snippets to compare'),
        (torch.ones(20, 6), 'all snippets are equally similar'),
        (torch.ones(20, 6) * torch.arange(1, 21)[:, None], 'all snippets are equally similar'),
        (torch.zeros(20, 6), '20 of 20 snippets are all zeros (similarity 0)'),
        (SOME_NAN, '3 of 20 snippets hold NaN or infinity (grey)'),
    ],
    ids=['one snippet', 'nothing finite', 'constant', 'one direction', 'zeros', 'some NaN'],
)
def test_features_that_cannot_be_compared_are_drawn_with_a_sentence(feature, sentence):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure = draw_tsm({'before': feature}, 'v_abc')
        figure_to_rgb(figure)
    (panel,) = panels_of(figure)
    assert sentence in panel.get_title() and 'nan' not in panel.get_title()
    low, high = panel.images[0].get_clim()
    assert low < high
    assert f'from {low:.2f} to {high:.2f}' in bar_of(figure).get_ylabel()


def test_the_rest_of_a_video_with_nan_is_drawn_as_without_it():
    finite = SOME_NAN.isfinite().all(dim=1)
    figures = [draw_tsm({'before': x}, 'v') for x in (SOME_NAN, SOME_NAN[finite])]
    images = [panels_of(figure)[0].images[0] for figure in figures]
    assert images[0].get_clim() == images[1].get_clim()
    shown = images[0].get_array()[finite][:, finite]
    np.testing.assert_allclose(shown, images[1].get_array(), atol=1e-6)
    first, second = (panels_of(figure)[0].get_title().split('\n')[0] for figure in figures)
    assert first == second


def test_each_segment_has_a_bar_on_both_axes_at_its_seconds():
    for panel in panels_of(draw_tsm(features(), 'v_abc', CENTRES_SEC, SEGMENTS)):
        above, beside = bars_of(panel)
        for bars in (above, beside):
            assert np.array(bars) == pytest.approx(np.array([(1.0, 3.0), (6.0, 9.5)]))
        assert list(panel.images[0].get_extent()) == pytest.approx([0, 10, 10, 0])
        assert panel.get_xlabel() == 'time (s)'


def test_a_segment_past_the_ends_is_cut_to_the_video():
    segments = [dict(segment=[-5.0, 99.0], label='jump')]
    above, beside = bars_of(panels_of(draw_tsm(features(), 'v', CENTRES_SEC, segments))[0])
    assert above == beside == [pytest.approx((0, 10))]


def test_overlapping_segments_do_not_hide_each_other():
    segments = [dict(segment=[i * 0.1, 9.0], label=f'class {i}') for i in range(12)]
    figure = draw_tsm(features(), 'v_abc', CENTRES_SEC, segments)
    (panel, _) = panels_of(figure)
    above = [bar for bar in panel.patches if is_above(panel, bar)]
    rows, (height, *_) = sorted(b.get_y() for b in above), [b.get_height() for b in above]
    assert len(above) == 12 and np.diff(rows).min() > height > 0
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(legend) == 9 and legend[-1] == 'and 4 more'


def test_each_class_has_its_colour():
    segments = [*SEGMENTS, dict(segment=[4.0, 5.0], label='jump')]
    figure = draw_tsm(features(), 'v_abc', CENTRES_SEC, segments)
    (panel, _), colours = panels_of(figure), {}
    for bar in panel.patches:
        start = round(float(bar.get_x() if is_above(panel, bar) else bar.get_y()), 3)
        colours.setdefault(start, set()).add(bar.get_facecolor())
    assert colours[1.0] == colours[4.0] != colours[6.0]
    assert all(len(shades) == 1 for shades in colours.values())


@pytest.mark.parametrize(
    ('num_snippets', 'centres', 'segments'),
    [
        (1, np.array([0.25]), SEGMENTS),
        (1, None, ()),
        (2, CENTRES_SEC[:2], ()),
        (20, None, ()),
        (20, CENTRES_SEC, ()),
    ],
    ids=['one snippet', 'one snippet, no annotation', 'two', 'no annotation', 'no action'],
)
def test_a_video_of_any_kind_can_be_drawn(num_snippets, centres, segments):
    figure = draw_tsm(features(num_snippets), 'v_abc', centres, segments)
    picture = figure_to_rgb(figure)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and picture.std() > 0
    (panel, _) = panels_of(figure)
    assert panel.get_xlabel() == ('snippet' if centres is None else 'time (s)')
    assert len(panel.patches) == 2 * len(segments)
    left, right, bottom, top = panel.images[0].get_extent()
    assert left < right and top < bottom


def test_saving_gives_the_picture_and_nothing_beside_it(tmp_path):
    picture = figure_to_rgb(draw_tsm(features(), 'v_abc', CENTRES_SEC, SEGMENTS))
    path = tmp_path / 'new' / 'v_abc.png'
    save_rgb(picture, path)
    assert [p.name for p in path.parent.iterdir()] == ['v_abc.png']
    saved = (imread(path)[..., :3] * 255).round().astype(np.uint8)
    assert np.array_equal(saved, picture)


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / 'v_abc.png'
    path.write_bytes(b'old')
    with pytest.raises(ValueError):
        save_rgb(np.zeros((4, 4, 7), dtype=np.uint8), path)
    assert [p.name for p in tmp_path.iterdir()] == ['v_abc.png']
    assert path.read_bytes() == b'old'
