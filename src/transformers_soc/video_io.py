# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Read videos from files, bytes, folders and arrays, and write videos, mask images and run-length codes.

The module imports only the standard library and NumPy when it is loaded; PyAV, Pillow and pycocotools are imported by
the functions that need them.
"""

import io
import math
import os
import re
import secrets
import stat
import struct
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# What Pillow may take a file for: among its other formats is one that runs a program.
IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")
IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM", b"II*\x00", b"MM\x00*", b"P5", b"P6")
# Containers round time stamps, Matroska to a millisecond: times that differ by less are the same.
TIME_TOLERANCE = 1e-3
DOWNLOAD_TIMEOUT = 30.0  # seconds without an answer
PADDING_PIXELS = 2**23  # by which decoders may enlarge a frame
COPY_BYTES = 2**20  # that are fetched at a time
# Boxes of an mp4 file in which 4 bytes announce any number of frames, by the path to them.
FRAME_COUNTS = ((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz"), (b"moof", b"traf", b"trun"))


class VideoDecodeError(ValueError):
    """A file or byte string that holds no video that can be decoded, or a video that is larger than its limits."""


@dataclass(frozen=True)
class VideoLimits:
    """How much is read of a video; a larger one is refused before its frames are decoded.

    Attributes:
        max_pixels: of a frame of a file; by default twice those of 8K video. None: as many as Pillow and FFmpeg open,
            some 200 million. Frames that are given as pixels may have any size.
        max_frames: that are taken, or counted by `probe_video`. None: any number.
        max_bytes: of a file or of what an address gives; in a folder, of each image. None: any number.
        max_seconds: of the whole video, where it has times; half a second more is let pass. None: any length.
    """

    max_pixels: int | None = 2**26
    max_frames: int | None = None
    max_bytes: int | None = None
    max_seconds: float | None = None

    def check_bytes(self, name: str, size: int) -> None:
        """Raise a VideoDecodeError if a file of `size` bytes is too large."""
        if self.max_bytes is not None and size > self.max_bytes:
            raise VideoDecodeError(
                f"{name} has at least {size} bytes, and {self.max_bytes} are the limit: give a smaller file"
            )

    def check_pixels(self, name: str, height: int, width: int) -> None:
        """Raise a VideoDecodeError if frames of this size are too large."""
        if self.max_pixels is not None and height * width > self.max_pixels:
            raise VideoDecodeError(
                f"{name} has {width} x {height} pixels, and {self.max_pixels / 1e6:.3g} million are the limit: scale "
                "it down"
            )

    def check_length(self, name: str, known: "VideoInfo") -> None:
        """Raise a VideoDecodeError if the whole video lasts too long."""
        if self.max_seconds is not None and known.duration is not None and known.duration > self.max_seconds + 0.5:
            raise VideoDecodeError(
                f"{name} lasts {known.duration:.0f} seconds, and {self.max_seconds:g} are the limit: give a shorter "
                "one"
            )

    def check_frames(self, name: str, count: int, known: "VideoInfo") -> None:
        """Raise a VideoDecodeError if `count` frames of the video are too many."""
        if self.max_frames is not None and count > self.max_frames:
            rate = f", at most {self.max_frames / known.duration:.3g} in a second" if known.duration else ""
            raise VideoDecodeError(
                f"{name} would give {count} frames, and {self.max_frames} are the limit: take fewer{rate}"
            )


DEFAULT_LIMITS = VideoLimits()


@dataclass
class VideoInfo:
    """What is known of a video; the field names are those of transformers' `VideoMetadata`.

    Attributes:
        total_num_frames: frames of the whole video.
        height, width: of the upright frames, in pixels.
        fps: mean frame rate of the whole video; None for folders, images and arrays.
        duration: seconds; None where `fps` is.
        frames_indices: which frames of the video were taken, ascending.
        timestamps: of the frames taken, in seconds from the first frame of the video; None where `fps` is.
    """

    total_num_frames: int
    height: int
    width: int
    fps: float | None
    duration: float | None
    frames_indices: list[int]
    timestamps: list[float] | None

    def take(self, indices: Sequence[int]) -> "VideoInfo":
        """The same video with only the frames `indices` taken; `self` must describe every frame."""
        times = None if self.timestamps is None else [self.timestamps[index] for index in indices]
        return replace(self, frames_indices=list(indices), timestamps=times)


# From the description of a video and its name to the frames that are taken.
Choose = Callable[[VideoInfo, str], list[int]]


def sample_indices(
    total_num_frames: int,
    *,
    num_frames: int | None = None,
    fps: float | None = None,
    stride: int | None = None,
    timestamps: Sequence[float] | None = None,
    duration: float | None = None,
) -> list[int]:
    """Choose frames of a video: all of them, or by one of three rules.

    Args:
        total_num_frames: frames of the video.
        num_frames: this many frames, spread evenly, the first one included.
        fps: the frame on screen at 0, 1/fps, 2/fps ... seconds, as often as whole periods of 1/fps fit into the
            video and at least once; a frame is taken once, so a rate above the video's own gives every frame.
        stride: every `stride`-th frame, the first one included.
        timestamps, duration: of all frames, in seconds; needed for `fps`.

    Raises:
        ValueError: two rules at once, a value that is not positive, more frames than there are, or `fps` without
            times.
    """
    _check_sampling(num_frames, fps, stride)
    if num_frames is not None:
        if num_frames > total_num_frames:
            raise ValueError(
                f"num_frames={num_frames} is more than the {total_num_frames} frames of the video: ask for at most "
                f"{total_num_frames}"
            )
        return [index * total_num_frames // num_frames for index in range(num_frames)]
    if stride is not None:
        return list(range(0, total_num_frames, stride))
    if fps is not None and total_num_frames > 1:
        if timestamps is None or duration is None:
            raise ValueError(
                f"fps={fps} needs the frame rate of the video, which frames and arrays do not have: use num_frames or "
                "stride, or give that rate in video_metadata"
            )
        periods = max(1, int((duration + TIME_TOLERANCE) * fps))
        # The first period that begins when a frame is on screen or later; the frame is taken if this is before the
        # next frame. Time stamps may lie years apart, so that periods cannot be listed.
        first = np.ceil((np.asarray(timestamps) - TIME_TOLERANCE) * fps).clip(0, periods)
        first[0] = 0
        return np.flatnonzero(first < np.append(first[1:], periods)).tolist()
    return list(range(total_num_frames))


def _check_sampling(num_frames: int | None, fps: float | None, stride: int | None) -> None:
    """Refuse two sampling rules at once, and values that are not positive."""
    rules = {"num_frames": num_frames, "fps": fps, "stride": stride}
    given = {name: value for name, value in rules.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} exclude each other: pass only one of num_frames, fps and stride")
    for name, value in given.items():
        _check_positive(name, value)


def _check_positive(name: str, value: float) -> None:
    """Refuse zero, negative numbers, infinity and NaN."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive, got {value}")


def is_frame(item: Any) -> bool:
    """Whether `item` is one frame: a PIL image, or a NumPy array or torch tensor with two or three dimensions."""
    return _is_pil(item) or getattr(item, "ndim", None) in (2, 3)


def list_videos(videos: Any) -> list[Any]:
    """Split what a caller passes as videos into single videos, without reading any.

    A list of frames is one video. A list of anything else (paths, byte strings, lists of frames, arrays with four
    dimensions) is several, and so is an array with five dimensions. A list of paths inside a list is one video, whose
    frames are these image files.

    Raises:
        ValueError: an empty list, or frames and whole videos in one list.
    """
    if getattr(videos, "ndim", None) == 5:
        return list(videos)
    if not isinstance(videos, (list, tuple)):
        return [videos]
    if len(videos) == 0:
        raise ValueError("the list of videos is empty: pass at least one video with at least one frame")
    frames = [is_frame(item) for item in videos]
    if all(frames):
        return [videos]
    if any(frames):
        raise ValueError("the list mixes single frames and whole videos: put the frames of each video into a list")
    flat = []
    for item in videos:
        nested = isinstance(item, (list, tuple)) and len(item) > 0
        is_one_video = not nested or all(is_frame(frame) or isinstance(frame, (str, os.PathLike)) for frame in item)
        flat.extend([item] if is_one_video else list_videos(item))
    return flat


def resolve_source(video: Any, allow_url: bool = False, limits: VideoLimits | None = None) -> Any:
    """Make `video` something that can be read more than once; nothing is decoded.

    An http(s) address becomes a temporary file object, a stream that cannot seek becomes bytes in memory, and
    everything else is returned as it is.

    Raises:
        ValueError: an address without `allow_url`, or with another scheme than http and https; more bytes than
            `limits` allow.
        OSError: the address cannot be fetched.
        TypeError: a file object that was opened in text mode.
    """
    if isinstance(video, str) and (scheme := re.match(r"([a-z][a-z0-9+.-]+)://", video, re.IGNORECASE)):
        if scheme[1].lower() not in ("http", "https"):
            raise ValueError(f"{video!r} is no local file: only local paths and http(s) addresses can be read")
        if not allow_url:
            raise ValueError(f"{video!r} is an address: pass allow_url=True to fetch it, or a local path")
        return _download(video, limits or DEFAULT_LIMITS)
    if hasattr(video, "read"):
        if not isinstance(video.read(0), bytes):
            raise TypeError("the file object gives text, not bytes: open the video with mode 'rb'")
        if not video.seekable():
            return _copy_stream(video, io.BytesIO(), "the given file object", limits or DEFAULT_LIMITS)
    return video


def probe_video(video: Any, *, limits: VideoLimits | None = None) -> VideoInfo:
    """Count and measure the frames of a video; of a file only the first frame is decoded.

    Takes what `read_video` takes, and raises what it raises.
    """
    limits = limits or DEFAULT_LIMITS
    choose = _sampling_rule(limits)
    video = resolve_source(video)
    if _is_encoded(video):
        with open_binary(video, limits) as (file, name):
            if not _is_image(file):
                known = _scan(file, name, limits)
                choose(known, name)
                return known
            video = _decode_image(file, name, limits)
    frames, times = _list_timed(video, None)
    choose(_describe(times, 0, 0, None), "the video")
    height, width = _frame_array(frames[0], limits).shape[:2]
    return _describe(times, height, width, None)


def read_video(
    video: Any,
    *,
    num_frames: int | None = None,
    fps: float | None = None,
    stride: int | None = None,
    source_fps: float | None = None,
    allow_url: bool = False,
    limits: VideoLimits | None = None,
) -> tuple[np.ndarray, VideoInfo]:
    """Read the frames of one video, upright, and keep in memory only those that are sampled.

    Args:
        video: path of a video file, of an image or of a folder of images (in the natural order of their names), the
            bytes of a file, a binary file object, an http(s) address, a PIL image, a list of frames (PIL images,
            paths of images, or NumPy arrays or torch tensors of shape (height, width), (height, width, 3) or
            (3, height, width)), or a NumPy array or torch tensor of shape (frames, height, width, 3), or
            (frames, 3, height, width) where only that fits.
        num_frames, fps, stride: which frames, see `sample_indices`; at most one of them. By default all.
        source_fps: the frame rate of a video given as frames, which `fps` needs.
        allow_url: fetch the video when it is an address.
        limits: what is too large; None: the defaults of `VideoLimits`.

    Returns:
        frames (frames, height, width, 3), uint8, or float32 in 0..1 where the frames were given as floats; and what
        is known of the video, with indices and time stamps of these frames.

    Raises:
        FileNotFoundError, PermissionError, OSError: no such file, or it cannot be opened.
        VideoDecodeError: a file that is empty, has no video, cannot be decoded or is larger than `limits`. A damaged
            or truncated file gives the frames that can be decoded, with a warning.
        ValueError: no frames, frames of different sizes, values that are neither uint8 nor floats in 0..1.
        TypeError: something that is no video.
    """
    limits = limits or DEFAULT_LIMITS
    choose = _sampling_rule(limits, num_frames, fps, stride)
    video = resolve_source(video, allow_url, limits)
    if _is_encoded(video):
        with open_binary(video, limits) as (file, name):
            if not _is_image(file):
                return _decode_video(file, name, choose, limits)
            video = _decode_image(file, name, limits)
    frames, times = _list_timed(video, source_fps)
    indices = choose(_describe(times, 0, 0, source_fps), "the video")
    array = stack_frames([frames[index] for index in indices], limits)
    return array, _describe(times, array.shape[1], array.shape[2], source_fps).take(indices)


def iter_video(
    video: Any,
    *,
    num_frames: int | None = None,
    fps: float | None = None,
    stride: int | None = None,
    source_fps: float | None = None,
    allow_url: bool = False,
    limits: VideoLimits | None = None,
) -> tuple[VideoInfo, Iterator[np.ndarray]]:
    """What `read_video` gives, but frame by frame: the video is described at once, and decoded as frames are taken.

    Args:
        as in `read_video`.

    Returns:
        what is known of the video, and an iterator of its sampled frames (height, width, 3), uint8, or float32 in
        0..1 where the frames were given as floats. Of a damaged file fewer frames than `frames_indices` announces may
        come, the first of them: it is not sampled anew as by `read_video`.

    Raises:
        as `read_video`; what is wrong with a single frame, when its turn comes.
    """
    limits = limits or DEFAULT_LIMITS
    choose = _sampling_rule(limits, num_frames, fps, stride)
    video = resolve_source(video, allow_url, limits)
    if _is_encoded(video):
        with open_binary(video, limits) as (file, name):
            if not _is_image(file):
                known = _scan(file, name, limits)
                known = known.take(choose(known, name))
                return known, _iter_file(video, set(known.frames_indices), limits)
            video = _decode_image(file, name, limits)
    frames, times = _list_timed(video, source_fps)
    indices = choose(_describe(times, 0, 0, source_fps), "the video")
    height, width = _frame_array(frames[0], limits).shape[:2]
    known = _describe(times, height, width, source_fps).take(indices)
    return known, (_frame_array(frames[index], limits) for index in indices)


def _sampling_rule(
    limits: VideoLimits, num_frames: int | None = None, fps: float | None = None, stride: int | None = None
) -> Choose:
    """A checked rule that chooses frames of a video within the limits."""
    _check_sampling(num_frames, fps, stride)

    def choose(known: VideoInfo, name: str) -> list[int]:
        limits.check_length(name, known)
        indices = sample_indices(
            known.total_num_frames,
            num_frames=num_frames,
            fps=fps,
            stride=stride,
            timestamps=known.timestamps,
            duration=known.duration,
        )
        limits.check_frames(name, len(indices), known)
        return indices

    return choose


def _list_timed(video: Any, source_fps: float | None) -> tuple[Sequence[Any], list[float | None]]:
    """`list_frames`, and the times of the frames in seconds, where they have a rate."""
    if source_fps is not None:
        _check_positive("the frame rate", source_fps)
    frames = list_frames(video)
    return frames, [None if source_fps is None else index / source_fps for index in range(len(frames))]


def stack_frames(frames: Sequence[Any], limits: VideoLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Stack frames to (frames, height, width, 3), uint8 or float32 in 0..1; raises as `read_video` does."""
    if len(frames) == 0:
        raise ValueError("the video has no frames: pass at least one")
    arrays = [_frame_array(frame, limits) for frame in frames]
    first = arrays[0]
    for index, array in enumerate(arrays):
        if array.shape != first.shape:
            raise ValueError(
                f"frames of different sizes in one video: frame 0 is {_size(first)}, frame {index} is {_size(array)}; "
                "resize them to one size"
            )
        if array.dtype != first.dtype:
            raise ValueError(f"frame 0 is {first.dtype} and frame {index} {array.dtype}: give all frames one type")
    return _stack_and_release(arrays)


def _stack_and_release(arrays: list[np.ndarray]) -> np.ndarray:
    """Stack and empty the list on the way, so that two copies of the video never exist at once."""
    stacked = np.empty((len(arrays), *arrays[0].shape), arrays[0].dtype)
    for index in reversed(range(len(arrays))):
        stacked[index] = arrays.pop()
    return stacked


def _frame_array(frame: Any, limits: VideoLimits) -> np.ndarray:
    """One frame as (height, width, 3), uint8, or float32 in 0..1."""
    if isinstance(frame, (str, os.PathLike)):
        with open_binary(frame, limits) as (file, name):
            return _decode_image(file, name, limits)
    if _is_pil(frame):
        return np.asarray(frame.convert("RGB"))
    if hasattr(frame, "detach"):  # a torch tensor; NumPy has no bfloat16
        frame = frame.detach().cpu()
        frame = (frame.float() if frame.is_floating_point() else frame).numpy()
    array = np.asarray(frame)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    elif array.ndim == 3 and array.shape[-1] != 3 and array.shape[0] == 3:
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[-1] != 3:
        raise ValueError(
            f"a frame has the shape {array.shape}: give frames as (height, width, 3), (3, height, width) or "
            "(height, width)"
        )
    if array.size == 0:
        raise ValueError(f"a frame has the shape {array.shape} and no pixels: give frames of at least 1x1 pixel")
    if np.issubdtype(array.dtype, np.floating):
        if np.isnan(array).any():
            raise ValueError("a frame holds NaN pixels: replace them by values in 0..1")
        if array.min() < 0 or array.max() > 1:
            raise ValueError(
                f"float frames must lie in 0..1, got {array.min():.4g} to {array.max():.4g}: divide by 255, or give "
                "uint8 frames"
            )
        return array.astype(np.float32, copy=False)
    if array.dtype != np.uint8:
        raise ValueError(f"frames must be uint8, or floats in 0..1, got {array.dtype}: convert them with astype")
    return array


def list_frames(video: Any) -> Sequence[Any]:
    """The frames of a folder, an image, a list or an array, as items for `_frame_array`."""
    if isinstance(video, (str, os.PathLike)):
        names = [name for name in os.listdir(video) if name.lower().endswith(IMAGE_SUFFIXES) and name[0] != "."]
        if not names:
            raise VideoDecodeError(
                f"the folder {os.fspath(video)!r} holds no images: put the frames there as {', '.join(IMAGE_SUFFIXES)}"
            )
        return [os.path.join(video, name) for name in sorted(names, key=_natural_order)]
    if is_frame(video):
        return [video]
    if getattr(video, "ndim", None) == 4:
        if 3 not in (video.shape[1], video.shape[-1]):
            raise ValueError(
                f"the video has the shape {tuple(video.shape)}: give (frames, height, width, 3) or "
                "(frames, 3, height, width)"
            )
        frames: Sequence[Any] = [video[index] for index in range(len(video))]
    elif isinstance(video, (list, tuple)):
        frames = video
    elif hasattr(video, "ndim"):
        raise ValueError(
            f"the video has {video.ndim} dimensions: give an array of shape (frames, height, width, 3) or a list of "
            "frames"
        )
    else:
        raise TypeError(
            f"{type(video).__name__} is no video: give a path, bytes, a file object, a list of frames or an array"
        )
    if len(frames) == 0:
        raise ValueError("the video has no frames: pass at least one")
    for frame in frames:
        if not is_frame(frame) and not isinstance(frame, (str, os.PathLike)):
            raise TypeError(
                f"a list of frames holds a {type(frame).__name__}: give PIL images, arrays, tensors or paths of images"
            )
    return frames


def _is_pil(item: Any) -> bool:
    return hasattr(item, "convert") and hasattr(item, "getbands")


def _natural_order(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts frame 2 before frame 10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"([0-9]+)", name)]


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"


def _is_encoded(video: Any) -> bool:
    """Whether `video` is a file, or its bytes, that must be decoded; a folder is not."""
    if isinstance(video, (bytes, bytearray, memoryview)) or hasattr(video, "read"):
        return True
    return isinstance(video, (str, os.PathLike)) and not os.path.isdir(video)


@contextmanager
def open_binary(video: Any, limits: VideoLimits = DEFAULT_LIMITS) -> Iterator[tuple[Any, str]]:
    """Yield an open file at its start and a name for messages; a file object of the caller is rewound afterwards.

    Raises:
        OSError: the file cannot be opened; of the type that says why, as FileNotFoundError.
        VideoDecodeError: it is no regular file, as a pipe, for which one would wait, or has too many bytes.
    """
    if hasattr(video, "read"):
        start = video.tell()
        limits.check_bytes("the given file object", _count_bytes(video))
        try:
            yield video, "the given file object"
        finally:
            video.seek(start)
    elif isinstance(video, (bytes, bytearray, memoryview)):
        with io.BytesIO(video) as file:
            limits.check_bytes("the given byte string", _count_bytes(file))
            yield file, "the given byte string"
    else:
        name = repr(os.fspath(video))
        with _open_regular(video, name) as opened:
            limits.check_bytes(name, _count_bytes(opened))
            yield opened, name


def _open_regular(path: str | os.PathLike, name: str) -> Any:
    """Open a regular file; see `open_binary`."""
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
        opened = open(path, "rb") if regular else None
    except FileNotFoundError:
        raise FileNotFoundError(f"{name} does not exist: give the path of a video file or of a folder") from None
    except ValueError:
        raise VideoDecodeError(f"{name} is no path, for a NUL character is in it: give a path without") from None
    except OSError as error:
        reason = str(error.strerror).lower()
        raise type(error)(f"{name} cannot be opened ({reason}): check the path and its permissions") from None
    if opened is None:
        raise VideoDecodeError(f"{name} is no regular file: give the path of a video file or of a folder")
    return opened


def _count_bytes(file: Any) -> int:
    """Bytes from the position of a file to its end."""
    start = file.tell()
    file.seek(0, os.SEEK_END)
    end = file.tell()
    file.seek(start)
    return end - start


def _download(address: str, limits: VideoLimits) -> Any:
    """Fetch an http(s) address into a temporary file, which is deleted when it is closed."""
    file = tempfile.TemporaryFile()
    try:
        with urllib.request.urlopen(address, timeout=DOWNLOAD_TIMEOUT) as answer:  # noqa: S310 - only http(s) come here
            return _copy_stream(answer, file, repr(address), limits)
    except (urllib.error.URLError, TimeoutError) as error:
        file.close()
        raise OSError(f"{address!r} cannot be fetched ({error}): check the address, or pass a local path") from error


def _copy_stream(source: Any, target: Any, name: str, limits: VideoLimits) -> Any:
    """Copy a stream to a file, which is returned at its start; what is too large is refused on the way."""
    while piece := source.read(COPY_BYTES):
        target.write(piece)
        limits.check_bytes(name, target.tell())
    target.seek(0)
    return target


def _is_image(file: Any) -> bool:
    """Whether the file starts like a still image that Pillow reads."""
    start = file.tell()
    head = file.read(12)
    file.seek(start)
    return head.startswith(IMAGE_SIGNATURES) or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


@contextmanager
def open_image(file: Any, name: str, limits: VideoLimits = DEFAULT_LIMITS) -> Iterator[Any]:
    """Yield an image as Pillow opens it, before its pixels are decoded, with the errors of Pillow translated.

    Raises:
        VideoDecodeError: it is no image, is damaged or has too many pixels; also while the block decodes it.
    """
    from PIL import Image

    try:
        image = Image.open(file, formats=IMAGE_FORMATS)
        limits.check_pixels(name, image.height, image.width)
        yield image
    except VideoDecodeError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise VideoDecodeError(f"{name} is too large ({str(error).partition(',')[0]}): scale it down") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise VideoDecodeError(f"{name} cannot be decoded as an image: check that the file is complete") from error


def _decode_image(file: Any, name: str, limits: VideoLimits) -> np.ndarray:
    """Decode an image file to (height, width, 3) uint8, turned upright."""
    from PIL import ImageOps

    with open_image(file, name, limits) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ImportError("video files are read and written with PyAV: install it with `pip install av`") from error
    # With a level, as older torchvision sets it, FFmpeg's threads need Python's lock to log, and who frees a decoder
    # keeps that lock while it waits for them.
    av.logging.set_level(None)
    return av


class _Readable:
    """A file for PyAV, which would raise what it sees when a damaged video seeks out of bounds, at any time later."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.read, self.tell = file.read, file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self.file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


@contextmanager
def _video_stream(file: Any, name: str, limits: VideoLimits) -> Iterator[tuple[Any, Any]]:
    """Open a file with PyAV and yield the container and its video stream, with PyAV's errors translated."""
    av = _import_av()
    start = file.tell()
    if not file.read(1):
        raise VideoDecodeError(f"{name} is empty: give a complete video file")
    file.seek(start)
    _check_counts(file, name)
    # FFmpeg decodes while it opens a file; what is larger has no size then, or no frame.
    bound = {} if limits.max_pixels is None else {"max_pixels": str(limits.max_pixels + PADDING_PIXELS)}
    try:
        # No protocol is allowed, so that a play list inside the file cannot open other files or addresses.
        options = {"protocol_whitelist": "none", **bound}
        # Before PyAV 19, texts inside the file that are no UTF-8 are an error unless this is given.
        lenient = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
        container = av.open(_Readable(file), options=options, **lenient)
    except av.error.FFmpegError as error:
        raise VideoDecodeError(f"{name} is no video file, or is cut off: give a complete video file") from error
    with container:
        # The cover of a sound file is a video stream too.
        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams:
            raise VideoDecodeError(f"{name} holds no video, only {_stream_kinds(container)}: give a video file")
        decoder = streams[0].codec_context
        if decoder is None:
            raise VideoDecodeError(f"{name} holds video of an unknown kind: encode it anew, as with H.264")
        limits.check_pixels(name, decoder.height, decoder.width)
        decoder.thread_type = "AUTO"
        decoder.options = bound
        yield container, streams[0]
    file.seek(start)


def _check_counts(file: Any, name: str) -> None:
    """Refuse an mp4 file that announces more frames than it has bytes: FFmpeg makes room for all of them."""
    start, size = file.tell(), _count_bytes(file)
    for path in FRAME_COUNTS:
        for place in _find_boxes(file, start + size, path):
            file.seek(place + (8 if path[-1] == b"stsz" else 4))
            count = int.from_bytes(file.read(4), "big")
            if count > size:
                raise VideoDecodeError(f"{name} announces {count} frames in {size} bytes: give a complete video file")
        file.seek(start)


def _find_boxes(file: Any, end: int, path: Sequence[bytes]) -> list[int]:
    """Where the content of the boxes at the end of `path` starts, from the position of the file up to `end`."""
    found: list[int] = []
    while (start := file.tell()) + 8 <= end:
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        stop = min(start + length, end) if length else end
        if kind == path[0]:
            found += [file.tell()] if len(path) == 1 else _find_boxes(file, stop, path[1:])
        if stop < start + 8:
            break
        file.seek(stop)
    return found


def _stream_kinds(container: Any) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams if stream.type != "video"})) or "nothing"


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of a stream up to the end of the file, or to where it is damaged."""
    error_type = _import_av().error.FFmpegError
    packets = container.demux(stream)
    while True:
        try:
            yield next(packets)
        except (StopIteration, error_type):
            return


def _decode_packet(packet: Any) -> list[Any]:
    try:
        return packet.decode()
    except _import_av().error.FFmpegError:
        return []


def _scan(file: Any, name: str, limits: VideoLimits) -> VideoInfo:
    """Describe all frames of a video file from its packets; only the first frame is decoded."""
    first = None
    times: list[float | None] = []
    num_packets, num_bytes = 0, _count_bytes(file)
    with _video_stream(file, name, limits) as (container, stream):
        for number, packet in enumerate(_packets(container, stream)):
            if number > num_bytes:  # and the one that ends the stream
                raise VideoDecodeError(
                    f"{name} has more frames than its {num_bytes} bytes: give a complete video file"
                )
            num_packets += packet.size > 0
            if packet.size and not packet.is_discard:
                times.append(None if packet.pts is None else float(packet.pts * stream.time_base))
            if first is None:
                first = next(iter(_decode_packet(packet)), None)
        rate = stream.average_rate or stream.guessed_rate
        if first is None or not times:
            raise _no_frame(name, limits)
        limits.check_pixels(name, first.height, first.width)
        if num_packets < stream.frames:
            warnings.warn(
                f"{name} holds {num_packets} of the {stream.frames} frames that it announces: it may be cut off",
                stacklevel=2,
            )
        height, width = _upright_size(first)
    return _describe(times, height, width, None if rate is None else float(rate))


def _no_frame(name: str, limits: VideoLimits) -> VideoDecodeError:
    within = "" if limits.max_pixels is None else f" within {limits.max_pixels / 1e6:.3g} million pixels"
    return VideoDecodeError(f"{name} has no frame that can be decoded{within}: give a complete video file")


def _describe(times: list[float | None], height: int, width: int, fps: float | None) -> VideoInfo:
    """Describe a video whose frames have these times, in any order and from any start."""
    total = len(times)
    known = sorted(time for time in times if time is not None)
    timestamps = None
    if len(known) == total:
        timestamps = [time - known[0] for time in known]
        if not fps and total > 1 and timestamps[-1] > 0:
            fps = (total - 1) / timestamps[-1]
    if not fps:
        return VideoInfo(total, height, width, None, None, list(range(total)), None)
    if timestamps is None:
        timestamps = [index / fps for index in range(total)]
    return VideoInfo(total, height, width, fps, timestamps[-1] + 1 / fps, list(range(total)), timestamps)


def _decode_video(file: Any, name: str, choose: Choose, limits: VideoLimits) -> tuple[np.ndarray, VideoInfo]:
    """Decode the frames of a video file that `choose` takes from its description."""
    known = _scan(file, name, limits)
    indices = choose(known, name)
    everything = len(indices) == known.total_num_frames
    frames, times = decode_frames(file, name, None if everything else set(indices), limits)
    if not frames:
        raise _no_frame(name, limits)
    if everything or len(frames) < len(indices):
        # Packets and frames differ in number: the file is damaged, or of a kind that hides frames.
        if len(times) != known.total_num_frames:
            known = _describe(times, known.height, known.width, known.fps)
            indices = choose(known, name)
            if not everything:
                frames, times = decode_frames(file, name, set(indices), limits)
    return _stack_and_release(frames), known.take(indices)


def decode_frames(
    file: Any, name: str, wanted: set[int] | None, limits: VideoLimits = DEFAULT_LIMITS
) -> tuple[list[np.ndarray], list[float | None]]:
    """Decode the `wanted` frames of a file (None: all), and the times of all frames up to the last of them."""
    frames: list[np.ndarray] = []
    times: list[float | None] = []
    for frame, time in _iter_decoded(file, name, wanted, limits):
        if frame is not None:
            frames.append(frame)
        times.append(time)
    return frames, times


def _iter_decoded(
    file: Any, name: str, wanted: set[int] | None, limits: VideoLimits
) -> Iterator[tuple[np.ndarray | None, float | None]]:
    """The pixels, where a frame is wanted, and the time of each frame of a file up to the last wanted one."""
    last = None if wanted is None else max(wanted)
    size = None
    index = 0
    # PyAV 19 shares one among all videos: a process that is forked later lacks its threads and waits for ever.
    reformatter = _import_av().video.reformatter.VideoReformatter()
    with _video_stream(file, name, limits) as (container, stream):
        for packet in _packets(container, stream):
            for frame in _decode_packet(packet):
                pixels = None
                if wanted is None or index in wanted:
                    found = _upright_size(frame)
                    if size is None:
                        limits.check_pixels(name, *found)
                        size = found
                    if found != size:
                        raise VideoDecodeError(
                            f"{name} changes its frame size from {size[1]}x{size[0]} to {found[1]}x{found[0]}: encode "
                            "it with one size"
                        )
                    pixels = _upright(frame, reformatter)
                yield pixels, frame.time
                index += 1
            if last is not None and index > last:
                return


def _iter_file(video: Any, wanted: set[int], limits: VideoLimits) -> Iterator[np.ndarray]:
    """The wanted frames of a file that `open_binary` opens, one after the other."""
    with open_binary(video, limits) as (file, name):
        count = 0
        for frame, _ in _iter_decoded(file, name, wanted, limits):
            if frame is not None:
                count += 1
                yield frame
        if not count:
            raise _no_frame(name, limits)


def _upright(frame: Any, reformatter: Any) -> np.ndarray:
    """RGB pixels (height, width, 3) of a PyAV frame, turned as its metadata says."""
    return np.rot90(reformatter.reformat(frame, format="rgb24").to_ndarray(), _quarter_turns(frame))


def _upright_size(frame: Any) -> tuple[int, int]:
    """(height, width) of what `_upright` gives."""
    return (frame.width, frame.height) if _quarter_turns(frame) % 2 else (frame.height, frame.width)


def _quarter_turns(frame: Any) -> int:
    """Quarter turns to the left that bring a PyAV frame upright; other angles are rounded to these."""
    return round(frame.rotation / 90) % 4


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes the place of `path` if the block succeeds, else vanishes.

    Raises:
        FileNotFoundError: the folder of `path` does not exist.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(target.parent)!r} does not exist: create it first")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_video(path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write frames as an mp4 file that browsers play (H.264, yuv420p); an odd last row or column is repeated.

    Args:
        path: of the file; it appears only when it is complete.
        frames: uint8 arrays (height, width, 3) of one size; they may come from a generator.
        fps: frames per second; below 0.001 and above 1000, which players do not show, the nearest of these.

    Raises:
        ValueError: no frames, or frames of different sizes or another type.
        FileNotFoundError: the folder of `path` does not exist.
    """
    av = _import_av()
    _check_positive("fps", fps)
    rate = Fraction(min(max(fps, 1e-3), 1000)).limit_denominator(1001)
    shape = None
    with replacing(path) as temporary:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.pix_fmt = "yuv420p"
            for index, frame in enumerate(frames):
                if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
                    raise ValueError(f"frame {index} is {frame.dtype} {frame.shape}: give uint8 (height, width, 3)")
                if shape is None:
                    shape = frame.shape
                    stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
                if frame.shape != shape:
                    raise ValueError(f"frame {index} has the shape {frame.shape}, frame 0 {shape}: use one size")
                even = np.pad(frame, ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            if shape is None:
                raise ValueError("there are no frames to write: pass at least one")
            container.mux(stream.encode())


def write_mask_pngs(folder: str | os.PathLike, masks: Iterable[np.ndarray]) -> list[Path]:
    """Write boolean masks (height, width) as grey images with 0 and 255, named 00000.png and so on; returns the paths.

    The folder is made when it does not exist; each file appears only when it is complete.
    """
    from PIL import Image

    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = []
    for index, mask in enumerate(masks):
        paths.append(Path(folder) / f"{index:05d}.png")
        with replacing(paths[-1]) as temporary:
            Image.fromarray(np.asarray(mask, bool).astype(np.uint8) * 255).save(temporary, format="PNG")
    return paths


def _import_coco_mask() -> Any:
    try:  # also tells transformers that a folder with remote code loads without it
        from pycocotools import mask
    except ImportError as error:
        raise ImportError("run-length codes need pycocotools: install it with `pip install pycocotools`") from error
    return mask


def masks_to_rle(masks: Iterable[np.ndarray]) -> list[dict[str, Any]]:
    """Encode boolean masks (height, width) as COCO run-length codes `{"size": [height, width], "counts": text}`."""
    coco_mask = _import_coco_mask()
    codes = [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]
    return [{"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")} for code in codes]


def rle_to_masks(codes: Sequence[Mapping[str, Any] | None], size: tuple[int, int] | None = None) -> np.ndarray:
    """Masks (frames, height, width) bool of run-length codes; None is an empty mask of `size` (height, width)."""
    coco_mask = _import_coco_mask()
    empty = np.zeros(size or (0, 0), bool)
    return np.stack([empty if code is None else coco_mask.decode(code).astype(bool) for code in codes])


def results_to_json(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the pipeline or a session answers about one video, in JSON types: masks as run-length codes, boxes x1, y1,
    x2, y2 in pixels."""
    return {
        "frame_indices": results[0]["frame_indices"],
        "timestamps": results[0]["timestamps"],
        "expressions": [
            {
                "expression": result["expression"],
                "score": float(result["score"]),
                "no_target": bool(result["no_target"]),
                "frame_scores": [float(score) for score in result["frame_scores"]],
                "boxes": [[float(side) for side in box] for box in result["boxes"]],
                # A session may give codes itself.
                "masks": result["masks"] if isinstance(result["masks"], list) else masks_to_rle(result["masks"]),
            }
            for result in results
        ],
    }
