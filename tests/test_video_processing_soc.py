# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Resize rule, normalisation, padding, sampling and saving of the video processor."""

import numpy as np
import pytest
import torch
from conftest import gray_frames
from PIL import Image

from transformers_soc.video_processing_soc import SocVideoProcessor, resized_size

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

# (width, height) -> (width, height), for short side 360 and long side 640, and for 320 and 576
SIZES = [
    ((1280, 720), (640, 360), (568, 320)),
    ((854, 480), (640, 360), (569, 320)),
    ((910, 480), (640, 338), (576, 304)),
    ((480, 854), (360, 640), (320, 569)),
    ((568, 320), (639, 360), (568, 320)),
    ((426, 320), (479, 360), (426, 320)),
    ((320, 240), (480, 360), (426, 320)),
    ((320, 320), (360, 360), (320, 320)),
    ((1000, 400), (640, 256), (575, 230)),
    ((2048, 858), (639, 268), (575, 241)),
    ((336, 640), (336, 640), (302, 575)),
]


@pytest.mark.parametrize(("original", "ytvos", "a2d"), SIZES)
def test_resize_rule(original, ytvos, a2d):
    width, height = original
    assert resized_size(height, width, 360, 640) == ytvos[::-1]
    assert resized_size(height, width, 320, 576) == a2d[::-1]


def test_pixels_are_those_of_pillow_then_normalised():
    frame = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    processor = SocVideoProcessor(size={"shortest_edge": 40, "longest_edge": 64})
    pixels = processor(frame[None], return_tensors="pt")["pixel_values_videos"]
    resized = torch.from_numpy(np.array(Image.fromarray(frame).resize((53, 40), Image.BILINEAR)))
    expected = (resized.permute(2, 0, 1) / 255 - MEAN) / STD
    assert pixels.shape == (1, 1, 3, 40, 53) and pixels.dtype == torch.float32
    torch.testing.assert_close(pixels[0, 0], expected, rtol=0, atol=2e-6)


def test_float_frames_are_not_rescaled_again():
    frames = gray_frames(2)
    processor = SocVideoProcessor(size={"shortest_edge": 16})
    from_bytes = processor(frames)["pixel_values_videos"]
    from_floats = processor(frames.astype(np.float64) / 255)["pixel_values_videos"]
    torch.testing.assert_close(from_floats, from_bytes, rtol=0, atol=1e-5)


def test_unequal_clips_are_padded_after_normalisation():
    clips = [np.zeros((2, 20, 30, 3), np.uint8), np.zeros((3, 24, 20, 3), np.uint8)]
    output = SocVideoProcessor(do_resize=False)(clips, return_tensors="pt")
    pixels, mask = output["pixel_values_videos"], output["pixel_mask"]
    assert pixels.shape == (2, 3, 3, 24, 30) and mask.shape == (2, 3, 24, 30) and mask.dtype == torch.bool
    assert mask[0, :2, :20].all() and mask[1, :, :, :20].all()
    assert mask.sum() == 2 * 20 * 30 + 3 * 24 * 20
    assert (pixels.movedim(2, -1)[~mask] == 0).all() and (pixels.movedim(2, -1)[mask] < -1).all()
    alone = SocVideoProcessor(do_resize=False)(clips[0], return_tensors="pt")["pixel_values_videos"]
    torch.testing.assert_close(pixels[0, :2, :, :20], alone[0])


def test_pad_size_gives_all_videos_one_size(tmp_path):
    SocVideoProcessor(size={"shortest_edge": 16}, pad_size={"height": 32, "width": 40}).save_pretrained(tmp_path)
    processor = SocVideoProcessor.from_pretrained(tmp_path)
    for frames, height, width in [(gray_frames(2), 16, 24), (gray_frames(3, 40, 20), 32, 16)]:
        output = processor(frames, return_tensors="pt")
        assert output["pixel_values_videos"].shape == (1, len(frames), 3, 32, 40)
        assert output["pixel_mask"][0, :, :height, :width].all()
        assert output["pixel_mask"].sum() == len(frames) * height * width
        assert processor.input_size(frames) == (len(frames), 32, 40)
        unpadded = processor(frames, do_pad=False, return_tensors="pt")["pixel_values_videos"]
        assert torch.equal(output["pixel_values_videos"][..., :height, :width], unpadded)
    with pytest.raises(ValueError, match="frames of 48x16 do not fit into a pad_size of 40x32: pass a larger"):
        processor(gray_frames(2, 16, 48))
    with pytest.raises(ValueError, match="pad_size must hold height and width"):
        processor(gray_frames(2), pad_size={"shortest_edge": 32})


def test_sampling_is_saved_and_replaced_by_the_call(tmp_path, video_path):
    SocVideoProcessor(num_frames=4, size={"shortest_edge": 16}).save_pretrained(tmp_path)
    processor = SocVideoProcessor.from_pretrained(tmp_path)
    calls = [({}, 4), ({"stride": 2}, 10), ({"num_frames": None}, 20), ({"do_sample_frames": False}, 20)]
    for kwargs, expected in calls:
        assert processor(video_path, **kwargs)["pixel_values_videos"].shape[1] == expected
        assert processor.input_size(video_path, **kwargs) == (expected, 16, 24)
    with pytest.raises(ValueError, match="exclude each other"):
        processor(video_path, num_frames=2, fps=2)


def test_metadata_hold_indices_and_true_times(video_path):
    processor = SocVideoProcessor(size={"shortest_edge": 16})
    metadata = processor([video_path, gray_frames(3)], stride=2, return_metadata=True)["video_metadata"]
    assert metadata[0].frames_indices == list(range(0, 20, 2)) and metadata[0].total_num_frames == 20
    assert metadata[0].timestamps == pytest.approx([index / 5 for index in range(10)])
    assert (metadata[1].height, metadata[1].width, metadata[1].frames_indices) == (32, 48, [0, 2])
    given = {"total_num_frames": 30, "fps": 10.0, "frames_indices": [0, 10, 20]}
    known = processor(gray_frames(3), video_metadata=given, fps=0.5, return_metadata=True)["video_metadata"][0]
    assert known.frames_indices == [0] and known.timestamps == [0.0]
    rate = {"total_num_frames": 8, "fps": 4.0}
    assert processor(gray_frames(8), video_metadata=rate, fps=1)["pixel_values_videos"].shape[1] == 2


def test_channels_first_only_where_it_fits_or_is_said():
    processor = SocVideoProcessor(do_resize=False)
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 3), dtype=np.uint8)
    last = processor(frames)["pixel_values_videos"]
    first = processor(frames, input_data_format="channels_first")["pixel_values_videos"]
    assert last.shape == (1, 2, 3, 3, 5) and first.shape == (1, 2, 3, 5, 3)
    moved = processor(np.ascontiguousarray(frames.transpose(0, 2, 3, 1)))["pixel_values_videos"]
    torch.testing.assert_close(first, moved)


def test_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="frames_per_second"):
        SocVideoProcessor()(gray_frames(2), frames_per_second=3)
