# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Video processor of SOC and SOC++: from files, frames or arrays to normalised, padded clips with masks."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from huggingface_hub.dataclasses import validate_typed_dict
from PIL import Image
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    ChannelDimension,
    PILImageResampling,
    SizeDict,
)
from transformers.processing_utils import VideosKwargs
from transformers.utils import TensorType
from transformers.utils.type_validators import image_size_validator, positive_int
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.video_utils import VideoMetadata, make_batched_metadata

from .video_io import list_videos, probe_video, read_video, sample_indices

SAMPLING_NAMES = ("num_frames", "fps", "stride")


class SocVideoProcessorKwargs(VideosKwargs, total=False):
    r"""
    stride (`int`, *optional*):
        Take every `stride`-th frame. Excludes `num_frames` and `fps`.
    pad_size (`dict[str, int]`, *optional*):
        `height` and `width` in pixels to which all frames are padded, whatever else is in the batch.
    """

    stride: Annotated[int | None, positive_int()]
    pad_size: Annotated[int | list[int] | tuple[int, ...] | dict[str, int] | None, image_size_validator()]


@dataclass
class SocVideoMetadata(VideoMetadata):
    """Video metadata that keep the true time stamps of the sampled frames, which need not be evenly spaced.

    Args:
        frame_times: seconds from the first frame of the video; None: computed from `frames_indices` and `fps`.
    """

    frame_times: list[float] | None = None

    @property
    def timestamps(self) -> list[float]:
        """Times of the sampled frames in seconds; a ValueError where neither times nor a frame rate are known."""
        return super().timestamps if self.frame_times is None else self.frame_times


def resized_size(height: int, width: int, shortest_edge: int, longest_edge: int | None = None) -> tuple[int, int]:
    """Size of a frame after the resize rule of the official code, as (height, width).

    The short side becomes `shortest_edge`, or less where the long side would exceed `longest_edge`. The long side is
    truncated, so it may come out one below `longest_edge`.
    """
    short, long = min(height, width), max(height, width)
    target = shortest_edge
    if longest_edge is not None and long / short * target > longest_edge:
        target = max(1, round(longest_edge * short / long))
    if short == target:
        return height, width
    if width < height:
        return int(target * height / width), target
    return target, int(target * width / height)


class SocVideoProcessor(BaseVideoProcessor):
    """Prepare videos for SOC: decode, sample, resize, normalise and pad.

    Calling it with `videos`, which may be one video or several in any form that `video_io.read_video` takes, gives

    - `pixel_values_videos` (videos, frames, 3, height, width) float32, padded with zeros at the right, the bottom and
      the end, after normalisation;
    - `pixel_mask` (videos, frames, height, width) bool, True = real pixel; False also for whole padded frames.

    uint8 frames are resized by Pillow, which gives the same bytes as the official code, and divided by 255. Float
    frames must lie in 0..1 and are not rescaled again. `num_frames`, `fps` and `stride` choose frames; they exclude
    each other, are saved with the processor, and passing one of them, even None, in a call replaces the saved choice.
    `do_sample_frames=False` takes every frame whatever they say. With `pad_size`, videos of any size that fits give
    inputs of one size, which `torch.compile` records once.
    """

    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size = {"shortest_edge": 360, "longest_edge": 640}
    default_to_square = False
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True
    do_pad = True
    pad_size: Any = None
    valid_kwargs: Any = SocVideoProcessorKwargs
    model_input_names = ["pixel_values_videos", "pixel_mask"]

    def preprocess(self, videos: Any, allow_url: bool = False, **kwargs: Any) -> BatchFeature:
        """Prepare one or several videos, see the class.

        Args:
            videos: see `video_io.list_videos` for what is one video and what is several.
            allow_url: fetch videos that are http(s) addresses. Never saved with the processor.
            kwargs: `SocVideoProcessorKwargs`: values for this call instead of the saved ones, and `video_metadata`,
                what is known of videos given as frames, one entry per video.

        Raises:
            ValueError, OSError, TypeError: as `video_io.read_video`, before anything is resized.
        """
        validate_typed_dict(self.valid_kwargs, kwargs)
        sampling = self.resolve_sampling(kwargs)
        items = list_videos(videos)
        if kwargs.pop("input_data_format", None) == ChannelDimension.FIRST:
            items = [item.swapaxes(1, -1).swapaxes(1, 2) if getattr(item, "ndim", 0) == 4 else item for item in items]
        given = kwargs.pop("video_metadata", None)
        metadata = [None] * len(items) if given is None else make_batched_metadata(items, given)
        loaded = [_load(item, known, allow_url, sampling) for item, known in zip(items, metadata, strict=True)]
        for name in SAMPLING_NAMES:
            kwargs.pop(name, None)
        return super().preprocess(
            [frames for frames, _ in loaded],
            **{**kwargs, "video_metadata": [known for _, known in loaded], "do_sample_frames": False},
        )

    def input_size(self, video: Any, **kwargs: Any) -> tuple[int, int, int]:
        """Frames, height and width that `preprocess` would make of one video, without decoding more than a frame.

        `kwargs` are the sampling options of `preprocess`.
        """
        info = probe_video(video)
        indices = sample_indices(
            info.total_num_frames, **self.resolve_sampling(kwargs), timestamps=info.timestamps, duration=info.duration
        )
        sizes = self._standardize_kwargs(
            size=self.size,
            crop_size=getattr(self, "crop_size", None),
            pad_size=self.pad_size,
            default_to_square=self.default_to_square,
        )
        height, width = info.height, info.width
        if self.do_resize:
            height, width = _output_size(height, width, sizes["size"])
        if getattr(self, "do_center_crop", None):
            height, width = sizes["crop_size"].height, sizes["crop_size"].width
        if self.do_pad and sizes["pad_size"]:
            height, width = _padded_size(height, width, sizes["pad_size"])
        return len(indices), height, width

    def sample_frames(
        self,
        metadata: VideoMetadata,
        num_frames: int | None = None,
        fps: int | float | None = None,
        stride: int | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Indices of the frames to take from a video with this metadata, see `video_io.sample_indices`."""
        total, rate = metadata.total_num_frames, metadata.fps
        times = None if rate is None else [index / rate for index in range(total)]
        duration = metadata.duration if metadata.duration is not None or rate is None else total / rate
        sampling = {"num_frames": num_frames, "fps": fps, "stride": stride}
        return np.asarray(sample_indices(total, **sampling, timestamps=times, duration=duration))  # type: ignore

    def resize(  # type: ignore[override]
        self,
        image: torch.Tensor,
        size: SizeDict,
        resample: PILImageResampling | int | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Resize frames (frames, 3, height, width), uint8 or float, with Pillow."""
        height, width = _output_size(image.shape[-2], image.shape[-1], size)
        if (height, width) == tuple(image.shape[-2:]):
            return image
        filtering = PILImageResampling.BILINEAR if resample is None else PILImageResampling(resample)
        frames = image.cpu().permute(0, 2, 3, 1).numpy()
        resized = np.empty((len(frames), height, width, 3), frames.dtype)
        for frame, target in zip(frames, resized, strict=True):
            if frame.dtype == np.uint8:
                target[:] = Image.fromarray(frame).resize((width, height), filtering)
            else:  # Pillow has no float image with three channels
                for channel in range(3):
                    target[..., channel] = Image.fromarray(frame[..., channel]).resize((width, height), filtering)
        return torch.from_numpy(resized).permute(0, 3, 1, 2).to(image.device)

    def resolve_sampling(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The sampling options of a call: those passed, else those saved, else none."""
        wanted = kwargs.get("do_sample_frames", getattr(self, "do_sample_frames", None))
        if wanted is False:
            return dict.fromkeys(SAMPLING_NAMES)
        if any(name in kwargs for name in SAMPLING_NAMES):
            return {name: kwargs.get(name) for name in SAMPLING_NAMES}
        return {name: getattr(self, name, None) for name in SAMPLING_NAMES}

    def _prepare_input_videos(  # type: ignore[override]
        self,
        videos: list[np.ndarray],
        do_convert_rgb: bool | None = None,
        input_data_format: str | ChannelDimension | None = None,
        device: str | torch.device | None = None,
    ) -> list[torch.Tensor]:
        """Frames from `read_video`, RGB with the channels last, as tensors (frames, 3, height, width)."""
        return [torch.from_numpy(video).to(device).permute(0, 3, 1, 2) for video in videos]

    def _preprocess(  # type: ignore[override]
        self,
        videos: list[torch.Tensor],
        do_resize: bool,
        size: SizeDict,
        resample: PILImageResampling | int | None,
        do_center_crop: bool,
        crop_size: SizeDict,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: Any,
        image_std: Any,
        do_pad: bool | None = None,
        pad_size: SizeDict | None = None,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        clips = []
        for video in videos:
            rescale = do_rescale and not video.is_floating_point()
            if do_resize:
                video = self.resize(video, size=size, resample=resample)
            if do_center_crop:
                video = self.center_crop(video, crop_size)
            clips.append(
                self.rescale_and_normalize(video, rescale, rescale_factor, do_normalize, image_mean, image_std)
            )
        if not do_pad and len({clip.shape for clip in clips}) > 1:
            raise ValueError("the videos differ in frames or size: pass do_pad=True, or one video at a time")
        pixel_values, pixel_mask = pad_clips(clips, pad_size if do_pad else None)
        data = {"pixel_values_videos": pixel_values, "pixel_mask": pixel_mask}
        return BatchFeature(data=data, tensor_type=return_tensors)


def pad_clips(clips: list[torch.Tensor], pad_size: SizeDict | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad clips (frames, 3, height, width) with zeros at the end, the bottom and the right to one size.

    Args:
        clips: the clips.
        pad_size: height and width to pad to; None: those of the largest clip.

    Returns:
        the clips (clips, frames, 3, height, width) float32, and a mask (clips, frames, height, width), True = real.
    """
    frames, _, height, width = (max(sizes) for sizes in zip(*(clip.shape for clip in clips), strict=True))
    if pad_size:
        height, width = _padded_size(height, width, pad_size)
    padded = clips[0].new_zeros((len(clips), frames, 3, height, width), dtype=torch.float32)
    mask = torch.zeros((len(clips), frames, height, width), dtype=torch.bool, device=padded.device)
    for index, clip in enumerate(clips):
        padded[index, : clip.shape[0], :, : clip.shape[2], : clip.shape[3]] = clip
        mask[index, : clip.shape[0], : clip.shape[2], : clip.shape[3]] = True
    return padded, mask


def _padded_size(height: int, width: int, pad_size: SizeDict) -> tuple[int, int]:
    """(height, width) of `pad_size`; a ValueError if frames of this height and width do not fit."""
    if not (pad_size.height and pad_size.width):
        raise ValueError(f"pad_size must hold height and width, got {pad_size}")
    if height > pad_size.height or width > pad_size.width:
        raise ValueError(
            f"frames of {width}x{height} do not fit into a pad_size of {pad_size.width}x{pad_size.height}: pass a "
            "larger pad_size or a smaller size"
        )
    return pad_size.height, pad_size.width


def _output_size(height: int, width: int, size: SizeDict) -> tuple[int, int]:
    if size.shortest_edge:
        return resized_size(height, width, size.shortest_edge, size.longest_edge)
    if size.height and size.width:
        return size.height, size.width
    raise ValueError(f"size must hold shortest_edge, with or without longest_edge, or height and width, got {size}")


def _load(
    video: Any, given: VideoMetadata | None, allow_url: bool, sampling: dict[str, Any]
) -> tuple[np.ndarray, SocVideoMetadata]:
    """Read one video; `given` is what the caller knows of frames that come without times."""
    if given is None:
        frames, info = read_video(video, allow_url=allow_url, **sampling)
        return frames, SocVideoMetadata(
            info.total_num_frames,
            info.fps,
            info.width,
            info.height,
            info.duration,
            frames_indices=info.frames_indices,
            frame_times=info.timestamps,
        )
    origin = given.frames_indices
    # Frames that the caller has sampled already follow each other at a lower rate than the video's.
    rate = given.sampled_fps if given.fps is not None and origin is not None else given.fps
    frames, info = read_video(video, allow_url=allow_url, source_fps=rate, **sampling)
    indices = info.frames_indices if origin is None else [int(origin[index]) for index in info.frames_indices]
    return frames, SocVideoMetadata(
        given.total_num_frames, given.fps, info.width, info.height, given.duration, frames_indices=indices
    )
