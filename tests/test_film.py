"""What is made from a video's file: small pictures of it, and the film with its segments."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from mmsola.apis import drawn_results
from mmsola.apis.inference import LocalizationInferencer
from mmsola.apis.inference_inputs import InputVideo
from mmsola.datasets.videos.video import Video, VideoError
from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.visualization import film
from mmsola.visualization.class_colours import class_colours
from mmsola.visualization.film import write_film
from mmsola.visualization.thumbnails import thumbnails_of
from mmsola.visualization.video_picture import draw_video

SEGMENTS = np.array([[0.5, 4.0], [6.0, 9.0], [1.0, 2.0]])
FOUND = LabelledSegments(SEGMENTS, ['dive', 'jump', 'dive'], np.array([0.2, 0.9, 0.6]))
TRUTH = LabelledSegments(SEGMENTS + 0.5, ['jump', 'dive', 'jump'])
NOTHING = LabelledSegments(np.zeros((0, 2)), [], np.zeros(0))
MANY = LabelledSegments(
    np.repeat(SEGMENTS, 20, axis=0), [f'class {i % 30}' for i in range(60)], np.linspace(0, 1, 60)
)
SCRIPTS = LabelledSegments(SEGMENTS, ['打篮球', 'é\n$x_1', 'قفز'], np.ones(3))


def picture(width, height, shade=100):
    return np.full((height, width, 3), shade, np.uint8)


@pytest.fixture
def make_video(tmp_path):
    def make(num_frames=40, size=(64, 48), rate=10, name='in.mp4'):
        path = tmp_path / name
        with av.open(str(path), 'w') as container:
            stream = container.add_stream('mpeg4', rate=rate)
            stream.width, stream.height = size
            stream.pix_fmt = 'yuv420p'
            for i in range(num_frames):
                frame = av.VideoFrame.from_ndarray(picture(*size, 4 * i % 250), format='rgb24')
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


def test_thumbnails_are_small_and_even(make_video):
    found = thumbnails_of(make_video(size=(320, 240)), 4)
    assert [at_sec for at_sec, _ in found] == pytest.approx([0.5, 1.5, 2.5, 3.5])
    assert {small.shape for _, small in found} == {(96, 128, 3)}
    shades = [small.mean() for _, small in found]
    np.testing.assert_allclose(shades, [4 * i for i in (5, 15, 25, 35)], atol=3)


def test_a_video_of_few_frames_has_few_thumbnails(make_video):
    assert len(thumbnails_of(make_video(num_frames=2), 6)) == 2
    assert thumbnails_of(make_video(num_frames=2), 0) == []


@pytest.mark.parametrize(
    ('size', 'rate', 'width', 'num_frames', 'fps'),
    [((64, 48), 10, 480, 12, 10), ((66, 50), 25, 480, 12, 25), ((480, 270), 60, 480, 6, 30),
     ((1920, 1080), 30, 1280, 12, 30), ((90, 160), 10, 480, 12, 10)],
)  # fmt: skip
def test_the_video_has_the_time_of_the_first_and_an_even_size(
    make_video, tmp_path, size, rate, width, num_frames, fps
):
    source, out = make_video(12, size, rate), tmp_path / 'new' / 'out.mp4'
    write_film(out, source, FOUND, TRUTH)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.pix_fmt == 'yuv420p'
        assert stream.width == width and stream.width % 2 == stream.height % 2 == 0
        assert stream.height > size[1] / size[0] * width
    written = Video(out)
    assert (written.num_frames, written.fps) == (num_frames, pytest.approx(fps))
    assert written.duration_sec == pytest.approx(Video(source).duration_sec)


@pytest.mark.parametrize('codecs', [av.codecs_available, {'mpeg4'}])
def test_the_cursor_moves_with_the_time(make_video, tmp_path, monkeypatch, codecs):
    monkeypatch.setattr(film.av, 'codecs_available', codecs)
    out = tmp_path / 'out.mp4'
    write_film(out, Video(make_video(num_frames=40)), FOUND)
    # below the picture, which is 360 pixels high
    strips = np.array([frame[370:] for frame in Video(out).frames([0, 10, 20, 30])], float)
    red = strips[..., 0] - strips[..., 1:].max(axis=-1)
    columns = red.sum(axis=1).argmax(axis=1)
    steps = np.diff(columns)
    assert (steps > 50).all() and np.ptp(steps) <= 4


def test_labels_stand_on_the_picture_while_their_segments_last(make_video, tmp_path):
    found = LabelledSegments(np.array([[1.0, 2.0]]), ['跳 jump'], np.array([0.5]))
    out = tmp_path / 'out.mp4'
    write_film(out, make_video(), found)
    corners = [frame[4:26, 4:80] for frame in Video(out).frames([5, 15, 25])]
    before, during, after = (corner.std() for corner in corners)
    assert during > 20 and before < 5 and after < 5


@pytest.mark.parametrize('found', [NOTHING, MANY, SCRIPTS])
def test_odd_results_make_a_video(make_video, tmp_path, found):
    write_film(tmp_path / 'out.mp4', make_video(num_frames=1), found, NOTHING, top_k=30)
    assert Video(tmp_path / 'out.mp4').num_frames == 1


def test_a_video_of_a_picture_a_minute(make_video, tmp_path):
    write_film(tmp_path / 'out.mp4', make_video(3, rate=Fraction(1, 60)), FOUND)
    assert Video(tmp_path / 'out.mp4').duration_sec == pytest.approx(180)


def test_an_error_on_the_way_leaves_no_file(make_video, tmp_path, monkeypatch):
    source, out = make_video(), tmp_path / 'out.mp4'
    video = Video(source)
    frames = video.frames

    def breaks_off(indices):
        for i, frame in enumerate(frames(indices)):
            if i == 20:
                raise VideoError('broken')
            yield frame

    monkeypatch.setattr(video, 'frames', breaks_off)
    with pytest.raises(VideoError, match='broken'):
        write_film(out, video, FOUND)
    assert list(tmp_path.iterdir()) == [source]


def test_the_video_itself_is_not_overwritten(make_video):
    source = make_video()
    before = source.read_bytes()
    with pytest.raises(ValueError, match='is the video itself'):
        write_film(source, source, FOUND)
    assert source.read_bytes() == before


def test_picture_and_film_of_a_run_have_one_colour_for_a_class(make_video, tmp_path, monkeypatch):
    """Whatever its videos show, and however much of it is drawn."""
    labels = set()

    def draw_label(text, colour):
        labels.add((text.split()[0], colour))
        return picture(40, 22)

    monkeypatch.setattr(film, '_draw_label', draw_label)
    figures = []
    monkeypatch.setattr(
        drawn_results,
        'draw_video',
        lambda *args, **kwargs: figures.append(draw_video(*args, **kwargs)) or figures[-1],
    )
    inferencer = object.__new__(LocalizationInferencer)
    inferencer.model = SimpleNamespace(class_names=('sit', 'dive'))
    inferencer._class_names = None
    paths = [make_video(name='a.mp4'), make_video(name='b.mp4')]
    sources = [InputVideo(p.stem, p, 4.0, None, frozenset(['jump', 'aim'])) for p in paths]
    found = {
        'a': LabelledSegments(np.array([[0.0, 1.0]]), ['sit'], np.ones(1)),
        'b': LabelledSegments(np.array([[0.0, 1.0]] * 3), ['jump', 'sit', 'new'], np.ones(3)),
    }
    out = str(tmp_path / 'out')
    inferencer.visualize(sources, found, vid_out_dir=out, video_out=True, top_k=2)
    expected = class_colours(['sit', 'dive', 'jump', 'aim', 'new'])
    assert labels == {(name, expected[name]) for name in ('sit', 'jump', 'new')}
    for figure, shown in zip(figures, (['sit'], ['jump', 'sit'])):
        (panel,) = (p for p in figure.axes if p.get_title(loc='left').startswith('found'))
        assert [label.get_text() for label in panel.get_yticklabels()] == shown
        colours = [bar[0].get_facecolor()[:3] for bar in panel.containers]
        assert colours == [expected[name] for name in shown]
