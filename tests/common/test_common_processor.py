# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""transformers' own processor tests on SocProcessor."""

import unittest

from hf_tests.test_processing_common import ProcessorTesterMixin
from transformers import RobertaTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from transformers_soc import SocProcessor, SocVideoProcessor


class SocProcessorTest(ProcessorTesterMixin, unittest.TestCase):
    processor_class = SocProcessor

    @classmethod
    def _setup_video_processor(cls):
        return SocVideoProcessor(size={"shortest_edge": 20, "longest_edge": 40})

    @classmethod
    def _setup_tokenizer(cls):
        pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *bytes_to_unicode().values()]
        return RobertaTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[])

    @staticmethod
    def prepare_processor_dict():
        return {"do_lower_case": False, "threshold": 0.25}
