# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Odd files are decoded rightly, and broken or hostile ones refused in one sentence, soon and without much memory."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import hostile_videos
import numpy as np
import pytest
from conftest import frame_numbers, gray_frames, tiny_processor
from hostile_videos import decode_in_forks, encode, overwrite, rotated
from models import tiny_model
from PIL import EpsImagePlugin, Image

from transformers_soc import video_io
from transformers_soc.pipeline_referring_video_segmentation import ReferringVideoSegmentationPipeline
from transformers_soc.video_io import VideoDecodeError, probe_video, read_video, write_video

SOUND: dict[str, tuple[Callable[[], bytes], tuple[int, ...]]] = {
    "one frame": (lambda: encode(gray_frames(1)), (1, 32, 48)),
    "one pixel": (lambda: encode(gray_frames(5, 1, 1), pix_fmt="yuv444p"), (5, 1, 1)),
    "odd size": (lambda: encode(gray_frames(5, 33, 49), "webm", "libvpx-vp9"), (5, 33, 49)),
    "tall": (lambda: encode(gray_frames(3, 4096, 2)), (3, 4096, 2)),
    "16k x 16": (lambda: encode(gray_frames(3, 16, 16384)), (3, 16, 16384)),
    "alpha": (lambda: encode(gray_frames(5), "mov", "qtrle", "argb"), (5, 32, 48)),
    "alpha beside": (lambda: encode(gray_frames(5), "webm", "libvpx-vp9", "yuva420p"), (5, 32, 48)),
    "10 bits": (lambda: encode(gray_frames(5), pix_fmt="yuv420p10le"), (5, 32, 48)),
    "grey": (lambda: encode(gray_frames(5), "matroska", "ffv1", "gray"), (5, 32, 48)),
    "16 bits": (lambda: encode(gray_frames(5), "matroska", "ffv1", "gray16le"), (5, 32, 48)),
    "a palette": (lambda: encode(gray_frames(5), "gif", "gif", "gray"), (5, 32, 48)),
    "16k x 16k claimed": (lambda: overwrite(encode(gray_frames(5)), b"avc1", 24, ">HH", 16384, 16384), (5, 32, 48)),
    "10^9 frames claimed": (lambda: overwrite(avi(), b"strh", 4 + 32, "<I", 10**9), (5, 32, 48)),
    "a million a second": (lambda: encode(gray_frames(5), rate=10**6), (5, 32, 48)),
    "before zero": (lambda: before_zero(), (5, 32, 48)),
    "no UTF-8": (
        lambda: encode(gray_frames(5), "matroska", "ffv1", "gray").replace(b"Lavf", b"\xff\xfe\xe4\xf6"),
        (5, 32, 48),
    ),
}


def avi() -> bytes:
    return encode(gray_frames(5), "avi", "mjpeg", "yuvj420p")


def before_zero() -> bytes:
    """A file whose first time stamps are negative."""
    muxing = {"avoid_negative_ts": "disabled"}
    return encode(gray_frames(5), "matroska", "ffv1", "gray", times=range(-3, 2), muxing=muxing)


@pytest.mark.filterwarnings("ignore:.*may be cut off")
@pytest.mark.parametrize("name", SOUND)
def test_odd_but_sound(name):
    make, shape = SOUND[name]
    data = make()
    frames, info = read_video(data)
    assert frames.shape == (*shape, 3) and frame_numbers(frames) == list(range(shape[0]))
    assert (info.height, info.width) == shape[1:] and info.timestamps[0] == 0
    assert info.timestamps == sorted(info.timestamps)
    assert len(read_video(data, fps=1e-3)[0]) == 1


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_sampling_follows_time_stamps_of_variable_frame_rate(container):
    data = encode(gray_frames(5), container, times=[0, 1, 2, 10, 19])
    frames, info = read_video(data, fps=2)
    assert frame_numbers(frames) == info.frames_indices == [0, 2, 3]
    assert info.timestamps == pytest.approx([0, 0.2, 1.0])


def test_frames_that_are_years_apart_are_sampled_at_once():
    data = encode(gray_frames(3), "matroska", "ffv1", "gray", rate=1, times=[0, 1, 10**9])
    assert read_video(data, fps=6)[1].frames_indices == [0, 1, 2]


@pytest.mark.parametrize("degrees, bright", [(90, np.s_[:32]), (180, np.s_[:, 32:]), (270, np.s_[32:])])
def test_rotated_video_and_its_masks_are_upright(degrees, bright):
    frames = np.zeros((3, 32, 64, 3), np.uint8)
    frames[:, :, :32] = 250  # the left half
    data = rotated(encode(frames), degrees)
    upright, info = read_video(data)
    shape = (32, 64) if degrees == 180 else (64, 32)
    assert upright.shape[1:3] == (info.height, info.width) == shape
    assert (probe_video(data).height, probe_video(data).width) == shape
    assert upright[0][bright].mean() > 240 and upright[0].mean() < 130
    segment = ReferringVideoSegmentationPipeline(model=tiny_model(), processor=tiny_processor(), device=-1)
    for mode in ("exact", "clip"):
        answer = segment(data, "a dog", mode=mode)
        assert answer["masks"].shape == (3, *shape)


@pytest.mark.parametrize("sine", [46341, -46341])
def test_a_slanted_video_has_the_size_that_is_told(sine):
    data = overwrite(encode(gray_frames(3)), b"tkhd", 40, ">9i", 46341, sine, 0, -sine, 46341, 0, 0, 0, 1 << 30)
    frames, info = read_video(data)
    assert frames.shape[1:3] == (info.height, info.width)


def count_frames(data: bytes) -> int:
    try:
        return len(read_video(data)[0])
    except VideoDecodeError as error:
        assert "\n" not in str(error)
        return 0


@pytest.mark.filterwarnings("ignore:.*may be cut off")
def test_cut_off_at_every_kilobyte(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (12, 80, 96, 3), dtype=np.uint8)
    write_video(tmp_path / "noise.mp4", noise, fps=10)
    data = (tmp_path / "noise.mp4").read_bytes()
    counts = [count_frames(data[:size]) for size in [*range(0, len(data), 1024), len(data)]]
    assert len(counts) > 40 and counts == sorted(counts) and counts[0] == 0 and counts[-1] == 12


def test_a_position_that_no_file_has(tmp_path):
    data = encode(gray_frames(5), muxing={"movflags": "frag_every_frame+empty_moov"})
    (tmp_path / "clip.mp4").write_bytes(overwrite(data, b"tfhd", 8, ">q", 2**59))
    with pytest.raises(VideoDecodeError, match="complete video file"):
        read_video(tmp_path / "clip.mp4")


def test_names_do_not_say_what_a_file_is(tmp_path):
    Image.fromarray(gray_frames(4)[3]).save(tmp_path / "picture.png")
    (tmp_path / "picture.mp4").write_bytes((tmp_path / "picture.png").read_bytes())
    (tmp_path / "clip.png").write_bytes(encode(gray_frames(4)))
    assert frame_numbers(read_video(tmp_path / "picture.mp4")[0]) == [3]
    assert frame_numbers(read_video(tmp_path / "clip.png")[0]) == [0, 1, 2, 3]
    with pytest.raises(VideoDecodeError, match=r"clip\.png' cannot be decoded as an image"):
        read_video(tmp_path)


NAMES = [
    "фильм 視頻 🎬.mp4",
    "$(touch broken); `touch broken` | & > broken.mp4",
    "-i -y.mp4",
    "two\nlines.mp4",
    "%s%n{0}.mp4",
    "file:clip.mp4",
    "concat:a|b.mp4",
    "a" * 251 + ".mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_just_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(encode(gray_frames(2)))
    assert frame_numbers(read_video(name)[0]) == [0, 1]
    Path(name).write_bytes(b"no video")
    with pytest.raises(VideoDecodeError) as caught:
        read_video(name)
    assert "\n" not in str(caught.value) and os.listdir() == [name]


def make_special_files(folder: Path) -> dict[str, str]:
    """Paths by the type of the error that they must give."""
    os.mkfifo(folder / "pipe")
    (folder / "frames").mkdir()
    os.mkfifo(folder / "frames" / "0.png")
    (folder / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
    (folder / "empty").mkdir()
    refused = {folder / name: "VideoDecodeError" for name in ("pipe", "frames", "socket", "empty", "a\0b.mp4")}
    loops = {folder / "loop": "OSError", folder / ("a" * 300): "OSError", folder / "pipe" / "a": "NotADirectoryError"}
    return {str(path): error for path, error in {**refused, **loops, Path("/dev/zero"): "VideoDecodeError"}.items()}


def test_what_is_no_regular_file_is_refused_at_once():
    with tempfile.TemporaryDirectory() as folder:  # the path of a socket must be short
        expected = make_special_files(Path(folder))
        outcomes = dict(zip(expected, decode_in_forks(map(Path, expected)), strict=True))
    assert {path: outcome.result for path, outcome in outcomes.items()} == expected
    assert all("\n" not in outcome.message and "Errno" not in outcome.message for outcome in outcomes.values())


READ_AS_NOBODY = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("video_io", sys.argv[1])
module = sys.modules["video_io"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
if os.getuid() == 0:
    os.setuid(65534)
try:
    module.read_video(sys.argv[2])
except PermissionError as error:
    print(error)
"""


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        os.chmod(file.name, 0)
        command = [sys.executable, "-c", READ_AS_NOBODY, video_io.__file__, file.name]
        done = subprocess.run(command, capture_output=True, text=True)
    if "setuid" in done.stderr:
        pytest.skip(f"this process may not become another user: {done.stderr.splitlines()[-1]}")
    assert (
        done.stdout.strip()
        == f"{file.name!r} cannot be opened (permission denied): check the path and its permissions"
    )


ADDRESSES = ["file:///etc/passwd", "FILE://localhost/etc/passwd", "ftp://127.0.0.1/a", "http://127.0.0.1:1/a.mp4"]
ADDRESSES += ["http://169.254.169.254/latest", "https://[::1]/a", "gopher://10.0.0.1/", "rtsp://192.168.0.1/live"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_address_is_opened_unasked(monkeypatch, address):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it connects"))
    with pytest.raises(ValueError, match=r"only local paths|allow_url=True"):
        read_video(address)
    if not address.startswith("http"):
        with pytest.raises(ValueError, match="only local paths"):
            read_video(address, allow_url=True)


class Redirect(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", Path(__file__).as_uri())
        self.end_headers()

    def log_message(self, *_):
        pass


def test_an_address_does_not_lead_to_local_files():
    with ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(OSError, match="cannot be fetched"):
            read_video(f"http://127.0.0.1:{server.server_port}/a.mp4", allow_url=True)
        server.shutdown()


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{0}'\n",
        "v=0\nm=video 9 RTP/AVP 96\n",
    ],
)
def test_play_lists_open_no_other_files(video_path, tmp_path, monkeypatch, text):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it connects"))
    for suffix in ("m3u8", "mp4"):
        (tmp_path / f"list.{suffix}").write_text(text.format(video_path) * 20)
        with pytest.raises(VideoDecodeError):
            read_video(tmp_path / f"list.{suffix}")


def test_pictures_are_read_as_pictures_alone(tmp_path, monkeypatch):
    """Pillow runs another program for PostScript."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("it runs a program"))
    (tmp_path / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(VideoDecodeError, match="cannot be decoded as an image"):
        read_video(tmp_path)


BOMBS: dict[str, Callable[[], bytes]] = {
    "30000.png": lambda: hostile_videos.png_bomb(30_000),
    "8200.png": lambda: hostile_videos.png_bomb(8200),
    "20000.ppm": lambda: b"P6 20000 20000 255\n" + bytes(3000),
    "20000.bmp": lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 20_000, 20_000, 1, 24, *(0,) * 6),
    "30000.gif": lambda: hostile_videos.gif_bomb(30_000),
    "9000.gif": lambda: hostile_videos.gif_bomb(9000),
    "16000.mp4": lambda: hostile_videos.jpeg_bomb(16_000),
    "1e6-frames.mp4": lambda: hostile_videos.many_samples(10**6),
    "1e9-frames.mp4": lambda: hostile_videos.many_samples(10**9),
    "1e7-in-a-fragment.mp4": lambda: hostile_videos.many_fragment_samples(10**7),
    "no-frames.mp4": hostile_videos.without_frames,
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_bombs_are_refused_before_they_take_memory(tmp_path):
    for name, make in BOMBS.items():
        (tmp_path / name).write_bytes(make())
    outcomes = dict(zip(BOMBS, decode_in_forks([tmp_path / name for name in BOMBS]), strict=True))
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome.seconds:.2f} s, {outcome.megabytes:.0f} MB, {outcome.message}")
    assert {outcome.result for outcome in outcomes.values()} == {"VideoDecodeError"}, outcomes
    assert max(outcome.megabytes for outcome in outcomes.values()) < 200
    assert "900000000 pixels" in outcomes["30000.png"].message and "8200 x 8200" in outcomes["8200.png"].message
    assert "1000000000 frames" in outcomes["1e9-frames.mp4"].message
