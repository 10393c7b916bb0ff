# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The columns that all data sets share: one row for each (video, expression) pair, with paths and codes, no pixels."""

from datasets import Features, List, Value

COMMON_FEATURES = Features(
    {
        "dataset": Value("string"),
        "dataset_version": Value("string"),
        "split": Value("string"),
        "video_id": Value("string"),
        "expression_id": Value("string"),
        "expression": Value("string"),
        "expression_type": Value("string"),
        "annotator": Value("int32"),
        "object_ids": List(Value("string")),
        "annotation_ids": List(Value("string")),
        "category": Value("string"),
        "no_target": Value("bool"),
        "frames": List(Value("string")),
        "frame_names": List(Value("string")),
        "frame_indices": List(Value("int32")),
        "num_frames": Value("int32"),
        "height": Value("int32"),
        "width": Value("int32"),
        "fps": Value("float32"),
        "audio_path": Value("string"),
        "mask_format": Value("string"),
        "mask_paths": List(Value("string")),
        "mask_values": List(Value("int32")),
        "mask_rles": List(List({"size": List(Value("int32")), "counts": Value("string")})),
        "annotated_frame_indices": List(Value("int32")),
        "image_id": Value("string"),
        "sample_id": Value("string"),
    }
)

# What shards hold: the bytes of the files in place of their paths, one after the other or one video file.
SHARD_FEATURES = Features(
    {
        ("frames_bytes" if name == "frames" else name): List(Value("binary")) if name == "frames" else feature
        for name, feature in COMMON_FEATURES.items()
    }
)

__all__ = ["COMMON_FEATURES", "SHARD_FEATURES"]
