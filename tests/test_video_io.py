# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing videos: sources, sampling, orientation, and files that appear only when they are complete."""

import io
import struct
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest
import torch
from conftest import frame_numbers, gray_frames
from PIL import Image
from pycocotools import mask as coco_mask

from transformers_soc import video_io
from transformers_soc.video_io import (
    VideoDecodeError,
    VideoLimits,
    iter_video,
    list_videos,
    masks_to_rle,
    probe_video,
    read_video,
    sample_indices,
    write_video,
)


def test_path_bytes_and_file_object_give_the_same_frames(video_path):
    frames, info = read_video(video_path)
    assert frames.dtype == np.uint8 and frames.shape == (20, 32, 48, 3)
    assert frame_numbers(frames) == list(range(20))
    with open(video_path, "rb") as file:
        for source in (str(video_path), video_path.read_bytes(), file, file):
            np.testing.assert_array_equal(read_video(source)[0], frames)
    assert (info.total_num_frames, info.fps, info.duration) == (20, 10.0, pytest.approx(2.0))
    assert info.timestamps == pytest.approx([index / 10 for index in range(20)])


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({"num_frames": 4}, [0, 5, 10, 15]),
        ({"stride": 6}, [0, 6, 12, 18]),
        ({"fps": 2.5}, [0, 4, 8, 12, 16]),
        ({"fps": 0.1}, [0]),
        ({"fps": 100}, list(range(20))),
    ],
)
def test_sampling_keeps_only_the_chosen_frames(video_path, sampling, expected):
    frames, info = read_video(video_path, **sampling)
    assert frame_numbers(frames) == info.frames_indices == expected
    assert info.timestamps == pytest.approx([index / 10 for index in expected])
    assert info.total_num_frames == 20


def test_fps_follows_time_stamps_of_uneven_frames():
    timestamps = [0.0, 0.1, 0.2, 1.0, 1.9]
    assert sample_indices(5, fps=2, timestamps=timestamps, duration=2.0) == [0, 2, 3]
    assert sample_indices(5, fps=1, timestamps=timestamps, duration=2.0) == [0, 3]


@pytest.mark.parametrize("sampling", [{"num_frames": 2, "fps": 1}, {"stride": 0}, {"fps": -1.0}, {"num_frames": 21}])
def test_impossible_sampling_is_refused(video_path, sampling):
    with pytest.raises(ValueError, match=r"num_frames|stride|fps"):
        read_video(video_path, **sampling)


def test_probe_measures_without_decoding_all(video_path):
    info = probe_video(video_path)
    assert (info.total_num_frames, info.height, info.width) == (20, 32, 48)
    assert probe_video(torch.zeros(7, 3, 5, 6)).total_num_frames == 7
    assert probe_video(Image.new("RGB", (6, 5))).height == 5


@pytest.mark.parametrize("sampling", [{}, {"num_frames": 4}, {"fps": 5}, {"stride": 7}])
def test_frame_by_frame_gives_what_reading_at_once_gives(video_path, sampling):
    frames, info = read_video(video_path, **sampling)
    with open(video_path, "rb") as file:
        for source in (video_path, video_path.read_bytes(), file):
            known, one_by_one = iter_video(source, **sampling)
            np.testing.assert_array_equal(list(one_by_one), frames)
            assert known == info
    known, one_by_one = iter_video(frames, stride=2)
    np.testing.assert_array_equal(list(one_by_one), frames[::2])
    assert (known.height, known.width, known.frames_indices) == (32, 48, list(range(0, len(frames), 2)))


def test_frame_by_frame_decodes_when_asked(video_path, monkeypatch):
    decoded = []
    upright = video_io._upright
    monkeypatch.setattr(video_io, "_upright", lambda *given: decoded.append(1) or upright(*given))
    info, frames = iter_video(video_path)
    assert info.total_num_frames == 20 and not decoded
    assert frame_numbers(np.stack([next(frames), next(frames)])) == [0, 1] and len(decoded) == 2


def test_frame_by_frame_ends_where_a_file_is_damaged(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "noise.mp4", noise, fps=10)
    data = (tmp_path / "noise.mp4").read_bytes()
    with pytest.warns(UserWarning, match="cut off"):
        frames = list(iter_video(data[: len(data) // 2])[1])
    assert 1 <= len(frames) <= 15
    with pytest.raises(FileNotFoundError, match="does not exist"):
        iter_video(tmp_path / "missing.mp4")


LIMITS = {
    "max_pixels": (VideoLimits(max_pixels=32 * 48 - 1), "48 x 32 pixels, and 0.00153 million are the limit: scale"),
    "max_frames": (VideoLimits(max_frames=19), "20 frames, and 19 are the limit: take fewer, at most 9.5 in a second"),
    "max_bytes": (VideoLimits(max_bytes=1000), "bytes, and 1000 are the limit: give a smaller file"),
    "max_seconds": (VideoLimits(max_seconds=1.25), "lasts 2 seconds, and 1.25 are the limit: give a shorter one"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_video_beyond_a_limit_is_refused_before_its_frames_are_decoded(video_path, monkeypatch, name):
    limits, message = LIMITS[name]
    monkeypatch.setattr(video_io, "_upright", lambda *_: pytest.fail("it decodes"))
    with open(video_path, "rb") as file:
        for source in (video_path, video_path.read_bytes(), file):
            for read in (read_video, iter_video, probe_video):
                with pytest.raises(VideoDecodeError, match=message):
                    read(source, limits=limits)


def test_a_video_within_its_limits_is_read(video_path):
    size = video_path.stat().st_size
    limits = VideoLimits(max_pixels=32 * 48, max_frames=20, max_bytes=size, max_seconds=1.5)
    for within in (limits, VideoLimits(None)):
        assert len(read_video(video_path, limits=within)[0]) == 20
    assert len(read_video(video_path, limits=VideoLimits(max_frames=4), fps=2)[0]) == 4
    with pytest.raises(VideoDecodeError, match="5 frames, and 4"):
        read_video(video_path, limits=VideoLimits(max_frames=4), num_frames=5)


def test_limits_of_images_and_frames(tmp_path):
    for index, frame in enumerate(gray_frames(3)):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    size = (tmp_path / "0.png").stat().st_size
    for limits in (VideoLimits(max_pixels=1000), VideoLimits(max_bytes=size - 1), VideoLimits(max_frames=2)):
        for read in (read_video, probe_video):
            with pytest.raises(VideoDecodeError, match="are the limit"):
                read(tmp_path, limits=limits)
    with pytest.raises(VideoDecodeError, match="the video lasts 3 seconds, and 1 are the limit"):
        read_video(gray_frames(3), source_fps=1, limits=VideoLimits(max_seconds=1))
    with pytest.raises(ValueError, match="frame rate must be positive"):
        read_video(gray_frames(3), source_fps=0)


class Endless(io.RawIOBase):
    """A stream that cannot seek and does not end."""

    def read(self, size: int = -1) -> bytes:
        return bytes(size)


def test_streams_and_addresses_are_read_up_to_the_limit(monkeypatch):
    monkeypatch.setattr(video_io, "COPY_BYTES", 100)
    monkeypatch.setattr(video_io.urllib.request, "urlopen", lambda *_, **__: Endless())
    for source in (Endless(), "https://example.org/a.mp4"):
        with pytest.raises(VideoDecodeError, match="at least 1100 bytes, and 1000 are the limit"):
            read_video(source, allow_url=True, limits=VideoLimits(max_bytes=1000))


def test_rotation_metadata_turn_the_frames_upright(tmp_path):
    frames = np.zeros((3, 32, 64, 3), np.uint8)
    frames[:, :, :32] = 250  # the left half is bright
    write_video(tmp_path / "plain.mp4", frames, fps=5)
    data = bytearray((tmp_path / "plain.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # the display matrix of the track: turn by 90 degrees clockwise
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    upright, info = read_video(bytes(data))
    assert upright.shape == (3, 64, 32, 3) and (info.height, info.width) == (64, 32)
    assert upright[0, :32].mean() > 240 and upright[0, 32:].mean() < 10
    assert probe_video(bytes(data)).height == 64


def test_folder_in_natural_order_and_single_image(tmp_path):
    frames = gray_frames(11)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("no image")
    assert frame_numbers(read_video(tmp_path)[0]) == list(range(11))
    array, info = read_video(tmp_path, stride=4)
    assert frame_numbers(array) == [0, 4, 8] and info.timestamps is None
    assert read_video(tmp_path / "frame3.png", fps=5)[0].shape == (1, 32, 48, 3)
    assert frame_numbers(read_video((tmp_path / "frame7.png").read_bytes())[0]) == [7]
    assert frame_numbers(read_video([str(tmp_path / "frame2.png"), tmp_path / "frame9.png"])[0]) == [2, 9]


def test_frames_of_every_kind_are_one_array():
    frames = gray_frames(3)
    torch_frames = torch.from_numpy(frames).permute(0, 3, 1, 2)
    kinds = [frames, list(frames), torch_frames, list(torch_frames), [Image.fromarray(frame) for frame in frames]]
    for kind in [*kinds, list(frames[..., 0])]:
        np.testing.assert_array_equal(read_video(kind)[0], frames)
    floats = read_video(torch_frames.to(torch.bfloat16) / 256)[0]
    assert floats.dtype == np.float32 and floats.max() < 1
    ambiguous = np.zeros((2, 3, 5, 3), np.uint8)
    assert read_video(ambiguous)[0].shape == (2, 3, 5, 3)


def test_address_is_fetched_only_when_asked_for(video_path):
    handler = partial(SimpleHTTPRequestHandler, directory=video_path.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        assert frame_numbers(read_video(address + video_path.name, num_frames=2, allow_url=True)[0]) == [0, 10]
        with pytest.raises(OSError, match="cannot be fetched"):
            read_video(address + "missing.mp4", allow_url=True)
        with pytest.raises(ValueError, match="allow_url=True"):
            read_video(address + video_path.name)
        server.shutdown()


def test_stream_that_cannot_seek(video_path):
    with subprocess.Popen(["cat", video_path], stdout=subprocess.PIPE) as process:
        assert frame_numbers(read_video(process.stdout, num_frames=2)[0]) == [0, 10]


def test_list_videos_tells_one_video_from_several():
    frames = gray_frames(2)
    for one in (frames, list(frames), "a.mp4", frames[0]):
        assert len(list_videos(one)) == 1
    for two in (np.stack([frames, frames]), ["a.mp4", "b.mp4"], [list(frames), list(frames)], [[frames], [frames]]):
        assert len(list_videos(two)) == 2
    assert list_videos([["a.png", "b.png"]]) == [["a.png", "b.png"]]
    with pytest.raises(ValueError, match="mixes"):
        list_videos([frames[0], frames])


@pytest.mark.parametrize("size", [(32, 48), (31, 45)])
def test_written_video_plays_with_even_sizes(tmp_path, size):
    write_video(tmp_path / "out.mp4", iter(gray_frames(5, *size)), fps=29.97)
    frames, info = read_video(tmp_path / "out.mp4")
    assert frame_numbers(frames) == list(range(5)) and frames.shape[1:3] == (32, 46 if size[1] == 45 else 48)
    assert info.fps == pytest.approx(29.97, abs=1e-3)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


@pytest.mark.parametrize("fps, written", [(1e-9, 0.001), (1e12, 1000)])
def test_rates_that_no_player_shows_are_written_as_the_nearest(tmp_path, fps, written):
    write_video(tmp_path / "out.mp4", gray_frames(3), fps=fps)
    assert read_video(tmp_path / "out.mp4")[1].fps == pytest.approx(written)


def test_failed_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "out.mp4").write_text("old")

    def broken():
        yield gray_frames(1)[0]
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_video(tmp_path / "out.mp4", broken(), fps=5)
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "out.mp4", [], fps=5)
    with pytest.raises(FileNotFoundError, match="create it"):
        write_video(tmp_path / "nowhere" / "out.mp4", gray_frames(1), fps=5)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "old"


def test_masks_as_images_and_run_length_codes(tmp_path):
    masks = np.random.default_rng(0).random((3, 7, 9)) > 0.5
    paths = video_io.write_mask_pngs(tmp_path / "masks", masks)
    assert [path.name for path in paths] == ["00000.png", "00001.png", "00002.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(paths[1])), masks[1] * 255)
    codes = masks_to_rle(masks)
    assert codes[0]["size"] == [7, 9] and isinstance(codes[0]["counts"], str)
    np.testing.assert_array_equal(coco_mask.decode(codes[2]), masks[2])


def test_file_loads_alone_without_torch_or_transformers():
    path = Path(video_io.__file__)
    code = (
        "import importlib.util, sys; spec = importlib.util.spec_from_file_location('video_io', sys.argv[1]);"
        "module = sys.modules['video_io'] = importlib.util.module_from_spec(spec); spec.loader.exec_module(module);"
        "assert not {'torch', 'transformers', 'av', 'PIL', 'pycocotools'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_other_libraries_cannot_let_decoders_wait_forever(video_path):
    """Threads of a decoder that log while it is freed came to a standstill, now and then."""
    av.logging.set_level(av.logging.ERROR)
    assert len(read_video(video_path)[0]) > 0
    assert av.logging.get_level() is None
