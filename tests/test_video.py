"""Videos as frames on an even grid, whatever their container, rate and damage."""

import av
import numpy as np
import pytest
from generated_videos import brightness, damage, picture, turn, write_sound, write_video

from mmsola.datasets.snippet_times import SnippetTimeline
from mmsola.datasets.videos.snippet_sampling import SnippetSampling
from mmsola.datasets.videos.video import Video, VideoError, list_videos
from mmsola.datasets.videos.video_list import find_videos


def seen(video, indices):
    return [brightness(frame) for frame in video.frames(indices)]


@pytest.mark.parametrize('suffix', ['mp4', 'mkv', 'avi', 'mov', 'webm'])
def test_frames_of_a_steady_video_are_those_of_the_file(tmp_path, suffix):
    codec = 'libvpx' if suffix == 'webm' else 'mpeg4'
    video = Video(write_video(tmp_path / f'a.{suffix}', codec=codec))
    assert (video.num_frames, video.is_variable) == (40, False)
    assert video.fps == pytest.approx(10) and video.duration_sec == pytest.approx(4)
    assert np.abs(np.array(seen(video, range(40))) - np.arange(40)).max() <= 1


def test_pixels_are_those_that_decord_gives_mmaction2(tmp_path):
    import decord

    path = write_video(tmp_path / 'a.mp4', moving=True)
    expected = decord.VideoReader(str(path)).get_batch(range(40)).asnumpy()
    assert np.array_equal(np.stack(list(Video(path).frames(range(40)))), expected)


def test_any_order_of_frames_and_distant_ones_give_the_same_pictures(tmp_path):
    path = write_video(tmp_path / 'a.mp4', num_frames=900, moving=True)
    whole = np.stack(list(Video(path).frames(range(900))))
    wanted = [5, 30, 30, 700, 701, 2, 899, 300]
    assert np.array_equal(np.stack(list(Video(path).frames(wanted))), whole[wanted])
    video = Video(path)
    assert np.array_equal(next(video.frames([850])), whole[850])
    assert np.array_equal(next(video.frames([850])), whole[850])


def test_each_frame_is_decoded_once_from_front_to_back(tmp_path, monkeypatch):
    video = Video(write_video(tmp_path / 'a.mp4'))
    begun = []
    decode = Video._decode_from
    monkeypatch.setattr(Video, '_decode_from', lambda *a: begun.append(a) or decode(*a))
    for start in range(0, 40, 8):
        list(video.frames(range(start, start + 8)))
    assert len(begun) == 1


def test_frames_of_variable_rate_are_laid_on_an_even_grid(tmp_path):
    # 20 frames at 10 a second, then 20 at a third of it
    times_ms = [100 * i if i < 20 else 2000 + 300 * (i - 20) for i in range(40)]
    path = write_video(tmp_path / 'a.mkv', times_ms=times_ms)
    video = Video(path, fps=10)
    assert video.is_variable and video.duration_sec == pytest.approx(8, abs=0.3)
    grid = np.arange(video.num_frames)
    shown = np.searchsorted(times_ms, grid * 100, 'right') - 1
    assert np.abs(np.array(seen(video, grid)) - shown).max() <= 1
    own = Video(path)
    assert own.num_frames == 40 and own.fps == pytest.approx(40 / own.duration_sec)


def test_another_rate_repeats_or_leaves_out_frames(tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    fast, slow = Video(path, fps=25), Video(path, fps=4)
    assert (fast.num_frames, slow.num_frames) == (100, 16)
    assert np.abs(np.array(seen(fast, range(100))) - np.arange(100) * 10 // 25).max() <= 1
    assert np.abs(np.array(seen(slow, range(16))) - np.arange(16) * 10 // 4).max() <= 1
    with pytest.raises(ValueError, match='fps is 0; expected a number above 0'):
        Video(path, fps=0)


@pytest.mark.parametrize(
    ('degrees', 'corner'), [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))], ids=str
)
def test_a_rotation_mark_is_obeyed(tmp_path, degrees, corner):
    upright = write_video(tmp_path / 'a.mp4')
    (frame,) = Video(turn(upright, tmp_path / 'b.mp4', degrees)).frames([10])
    assert frame.shape == ((48, 64, 3) if degrees == 180 else (64, 48, 3))
    red = [frame[i, j] for i in (0, -1) for j in (0, -1)]
    (index,) = (k for k, pixel in enumerate(red) if pixel[0] > 150 and pixel[1] < 100)
    assert [(0, 0), (0, -1), (-1, 0), (-1, -1)][index] == corner


@pytest.mark.parametrize('size', [(33, 17), (2, 2), (200, 10)], ids=str)
def test_odd_sizes(tmp_path, size):
    path = write_video(tmp_path / 'a.mkv', size=size, codec='ffv1', num_frames=3)
    assert [f.shape for f in Video(path).frames(range(3))] == [(size[1], size[0], 3)] * 3


def test_a_single_frame(tmp_path):
    video = Video(write_video(tmp_path / 'a.mp4', num_frames=1))
    assert video.num_frames == 1 and seen(video, [0, 0]) == [0, 0]


def test_what_is_no_video_says_what_it_is(tmp_path):
    file = write_video(tmp_path / 'whole.mp4', num_frames=300, moving=True)
    whole = file.read_bytes()
    ruin = damage(file, tmp_path / 'ruin.mp4', range(10, 290)).read_bytes()
    for name, content, message in (
        ('empty', b'', 'is empty'),
        ('text', b'hello' * 1000, 'cannot be opened as a video'),
        ('cut', whole[: len(whole) // 2], 'cannot be opened as a video'),
        ('ruin', ruin, 'of its 300 frames cannot be decoded'),
        ('zeros', damage(file, file, range(300)).read_bytes(), 'not one of its 300 frames'),
    ):
        file = tmp_path / f'{name}.mp4'
        file.write_bytes(content)
        with pytest.raises(VideoError, match=message) as error:
            list(Video(file).frames(range(300)))
        assert str(file) in str(error.value) and 'fix:' in str(error.value)
    with pytest.raises(VideoError, match='no film, only sound'):
        Video(write_sound(tmp_path / 'sound.mp4'))
    with pytest.raises(VideoError, match='no such file'):
        Video(tmp_path / 'nothing.mp4')


@pytest.mark.parametrize('codec', ['mpeg4', 'libx264'])
def test_what_a_damaged_packet_held_is_counted_and_decoded_past(tmp_path, codec):
    """It lost everything after it: frames 61 to 119 of 120."""
    whole = write_video(tmp_path / 'whole.mp4', num_frames=120, codec=codec)
    video = Video(damage(whole, tmp_path / 'a.mp4', [60]))
    shown = seen(video, range(120))
    expected = seen(Video(whole), range(120))
    lost = sorted(video.lost)
    assert len(lost) == 1 and 55 <= lost[0] <= 61
    assert sum(abs(a - b) > 2 for a, b in zip(shown, expected)) <= 1
    again = Video(tmp_path / 'a.mp4')
    assert seen(again, [119, 0, lost[0] + 1]) == [shown[119], shown[0], shown[lost[0] + 1]]
    assert not again.lost, 'only what was asked for counts'


def test_frames_lost_at_the_end_are_stood_for_by_the_last(tmp_path):
    whole = write_video(tmp_path / 'whole.mp4', num_frames=60)
    video = Video(damage(whole, tmp_path / 'a.mp4', range(40, 60)))
    assert len(list(video.frames(range(60)))) == 60 and sorted(video.lost) == list(range(40, 60))


def test_a_cover_is_no_film(tmp_path):
    """As in a record with a picture of its front."""
    with av.open(str(tmp_path / 'record.mp4'), 'w') as container:
        cover = container.add_stream('mjpeg', rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, 'yuvj420p'
        cover.disposition = av.stream.Disposition.attached_pic.value
        film = container.add_stream('mpeg4', rate=10)
        film.width, film.height, film.pix_fmt = 64, 48, 'yuv420p'
        for stream, count in ((cover, 1), (film, 20)):
            for i in range(count):
                frame = av.VideoFrame.from_ndarray(picture(i, (64, 48)), format='rgb24')
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    with av.open(str(tmp_path / 'record.mp4')) as container:
        is_cover = [
            bool(stream.disposition & av.stream.Disposition.attached_pic)
            for stream in container.streams.video
        ]
    if not any(is_cover):
        pytest.skip('this FFmpeg does not write which stream is a cover')
    assert Video(tmp_path / 'record.mp4').num_frames == 20


@pytest.mark.parametrize('suffix', ['ts', 'mts', '3gp', 'gif', 'MPG'])
def test_videos_of_every_suffix_are_found(tmp_path, suffix, log_lines):
    codec = {'gif': 'gif', '3gp': 'mpeg4'}.get(suffix, 'mpeg2video')
    fps = 25 if codec == 'mpeg2video' else 10
    path = tmp_path / 'videos' / f'a.{suffix}'
    path.parent.mkdir()
    if codec == 'gif':
        with av.open(str(path), 'w') as container:
            stream = container.add_stream('gif', rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, 'rgb8'
            for i in range(20):
                frame = av.VideoFrame.from_ndarray(picture(i, (64, 48)), format='rgb24')
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    else:
        write_video(path, 20, codec=codec, fps=fps)
    (tmp_path / 'videos' / 'notes.txt').write_text('x')
    assert find_videos(path) == find_videos(path.parent) == {'a': path}
    assert abs(Video(path).num_frames - 20) <= 1
    assert any('1 files are left out' in line and '.txt' in line for line in log_lines)


def test_a_video_of_an_unknown_suffix_is_taken_if_it_is_named(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 20).rename(tmp_path / 'a.film')
    assert find_videos(path) == {'a': path} and Video(path).num_frames == 20


def test_a_recording_cut_off_gives_what_is_there(tmp_path):
    path = write_video(tmp_path / 'a.mkv', moving=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    video = Video(path)
    assert 10 < video.num_frames < 40
    assert len(list(video.frames(range(video.num_frames)))) == video.num_frames


def test_a_folder_of_videos_is_listed_by_name(tmp_path):
    for name in ('a b.mp4', 'tief/ö東.MKV', '.hidden.mp4', 'notes.txt'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'')
    assert list(list_videos(tmp_path)) == ['a b', 'tief/ö東']
    (tmp_path / 'a b.avi').write_bytes(b'')
    with pytest.raises(VideoError, match="two videos called 'a b'"):
        list_videos(tmp_path)
    with pytest.raises(VideoError, match='no video found'):
        list_videos(tmp_path / 'nowhere')


def test_videos_of_a_list_and_of_an_annotation_file(tmp_path):
    for name in ('one.mp4', 'sub/v_two words.mp4'):
        path = tmp_path / 'videos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x')
    listed = tmp_path / 'list.txt'
    listed.write_text('# mine\none.mp4 3\nsub/v_two words.mp4\n\nmissing.mp4\n')
    found = find_videos(listed, tmp_path / 'videos')
    assert list(found) == ['one', 'sub/v_two words', 'missing']
    assert found['one'] == tmp_path / 'videos' / 'one.mp4'
    annotations = tmp_path / 'anno.json'
    annotations.write_text('{"database": {"two words": {"duration": 1, "annotations": []}}}')
    for file_name in ('v_{name}', '{name}'):  # the usual prefix needs no template
        found = find_videos(annotations, tmp_path / 'videos' / 'sub', file_name=file_name)
        assert found == {'two words': tmp_path / 'videos' / 'sub' / 'v_two words.mp4'}
    with pytest.raises(VideoError, match="such as --file-name 'v_{name}'"):
        find_videos(annotations, tmp_path / 'videos')
    with pytest.raises(VideoError, match='give --root'):
        find_videos(annotations)
    with pytest.raises(VideoError, match='no such file or folder'):
        find_videos(tmp_path / 'nothing')
    listed.write_text('\n')
    with pytest.raises(VideoError, match='names no video'):
        find_videos(listed)
    listed.write_text('one.mp4\n/elsewhere/one.mp4\n')
    with pytest.raises(VideoError, match="line 2: .* both called 'one'"):
        find_videos(listed, tmp_path / 'videos')


def test_snippets_lie_where_the_timeline_says():
    sampling = SnippetSampling(snippet_frames=8, frame_interval=3, stride_frames=10)
    timeline = SnippetTimeline(sampling.stride, sampling.window_frames, fps=25)
    frames = sampling.frames(500)
    assert len(frames) == sampling.num_snippets(500) == (500 - 24) // 10 + 1
    assert frames.min() >= 0 and frames.max() < 500
    shown_sec = (frames + 0.5).mean(axis=1) / 25  # a frame stands for the time until the next
    assert shown_sec == pytest.approx(timeline.centres_sec(len(frames)))
    assert np.array_equal(sampling.frames(500, 7, 9), frames[7:9])


def test_a_video_shorter_than_a_snippet_repeats_its_last_frame():
    sampling = SnippetSampling(snippet_frames=4, frame_interval=2)
    assert sampling.frames(5).tolist() == [[0, 2, 4, 4]] and sampling.num_snippets(1) == 1
    assert (sampling.num_snippets(8), sampling.num_snippets(15), sampling.num_snippets(16)) == (
        1,
        1,
        2,
    )
    with pytest.raises(ValueError, match='stride_frames is 0'):
        SnippetSampling(4, stride_frames=0)
