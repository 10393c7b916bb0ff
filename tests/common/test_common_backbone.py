# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""transformers' own backbone and model tests on VideoSwinBackbone."""

import unittest

from hf_tests.test_backbone_common import BackboneTesterMixin
from hf_tests.test_configuration_common import ConfigTester
from hf_tests.test_modeling_common import ModelTesterMixin, floats_tensor

from transformers_soc import VideoSwinBackbone, VideoSwinConfig


class VideoSwinTester:
    """Small sizes, with shifted windows along every axis."""

    batch_size = 2
    is_training = False  # a backbone has no loss
    num_frames = 3
    image_size = 40

    def get_config(self):
        return VideoSwinConfig(
            embed_dim=8,
            depths=[1, 2, 1],
            num_heads=[1, 2, 2],
            window_size=[2, 3, 3],
            drop_path_rate=0.0,
            out_features=["stage1", "stage2", "stage3"],
        )

    def prepare_config_and_inputs(self):
        pixel_values = floats_tensor([self.batch_size, self.num_frames, 3, self.image_size, self.image_size])
        return self.get_config(), pixel_values, None

    def prepare_config_and_inputs_for_common(self):
        config, pixel_values, _ = self.prepare_config_and_inputs()
        return config, {"pixel_values": pixel_values}


class VideoSwinBackboneTest(BackboneTesterMixin, ModelTesterMixin, unittest.TestCase):
    all_model_classes = (VideoSwinBackbone,)
    config_class = VideoSwinConfig
    has_attentions = False  # windows of one layer attend under different masks: no single attention tensor exists
    test_resize_embeddings = False  # no words

    def setUp(self):
        self.model_tester = VideoSwinTester()

    def test_config_common(self):
        ConfigTester(self, VideoSwinConfig, has_text_modality=False, embed_dim=48).run_common_tests()

    @unittest.skip("There are no words, so no input embeddings.")
    def test_model_get_set_embeddings(self):
        pass

    def test_hidden_states_output(self):
        # The common test expects (tokens, width); here they are maps, the stem's and one per stage.
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        model = VideoSwinBackbone(config).eval()
        shapes = [tuple(state.shape) for state in model(**inputs, output_hidden_states=True).hidden_states]
        self.assertEqual(shapes, [(2, 3, 8, 10, 10), (2, 3, 8, 10, 10), (2, 3, 16, 5, 5), (2, 3, 32, 3, 3)])

    @unittest.skip("The returned states are views of the maps in another order: the gradient passes beside them.")
    def test_retain_grad_hidden_states_attentions(self):
        pass
