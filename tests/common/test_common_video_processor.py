# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""transformers' own video processor tests on SocVideoProcessor."""

import unittest

from hf_tests.test_video_processing_common import VideoProcessingTestMixin, prepare_video_inputs

from transformers_soc import SocVideoProcessor


class SocVideoProcessorTester:
    batch_size = 3
    num_frames = 5
    num_channels = 3
    min_resolution = 20
    max_resolution = 60

    def prepare_video_processor_dict(self):
        # The common tests expect these two sizes; the crop gives videos of any size one size.
        return {
            "do_resize": True,
            "size": {"shortest_edge": 20},
            "do_center_crop": True,
            "crop_size": {"height": 18, "width": 18},
            "do_normalize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "do_convert_rgb": True,
        }

    def expected_output_video_shape(self, videos):
        return [self.num_frames, self.num_channels, 18, 18]

    def prepare_video_inputs(self, equal_resolution=False, return_tensors="pil"):
        return prepare_video_inputs(
            batch_size=self.batch_size,
            num_frames=self.num_frames,
            num_channels=self.num_channels,
            min_resolution=self.min_resolution,
            max_resolution=self.max_resolution,
            equal_resolution=equal_resolution,
            return_tensors=return_tensors,
        )


class SocVideoProcessorTest(VideoProcessingTestMixin, unittest.TestCase):
    fast_video_processing_class = SocVideoProcessor

    def setUp(self):
        super().setUp()
        self.video_processor_tester = SocVideoProcessorTester()

    @property
    def video_processor_dict(self):
        return self.video_processor_tester.prepare_video_processor_dict()
