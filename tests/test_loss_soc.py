# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from models import ragged_inputs, random_labels, single_inputs, tiny_inputs, tiny_model
from transformers.loss.loss_for_object_detection import generalized_box_iou as corner_giou
from transformers.loss.loss_for_object_detection import sigmoid_focal_loss as mean_focal_loss

from transformers_soc.loss_soc import boxes_from_masks, generalized_box_iou, loss_weights, sigmoid_focal_loss


def test_batch_pools_frames_and_clips():
    """The loss of a batch is the mean of its rows, each counted by its own frames (clips in the contrastive loss)."""
    model, inputs = tiny_model("soc++").train(), ragged_inputs()
    labels = random_labels(inputs)
    together = model(**inputs, labels=labels).loss_dict
    rows, frames = [], []
    for expression in range(5):
        # The masks keep the padded size of the batch, as the frames do.
        rows.append(model(**single_inputs(inputs, expression), labels=[labels[expression]]).loss_dict)
        frames.append(len(labels[expression]["visible"]))
    for name, loss in together.items():
        weights = [1] * 5 if name.startswith("loss_con") else frames
        expected = sum(row[name] * weight for row, weight in zip(rows, weights, strict=True)) / sum(weights)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4), name


def test_row_without_target_has_the_class_loss_alone():
    model, inputs = tiny_model("soc").train(), ragged_inputs()
    labels = random_labels(inputs)
    labels[3] = {name: torch.zeros_like(value) for name, value in labels[3].items()}
    together = model(**inputs, labels=labels).loss_dict
    others = [model(**single_inputs(inputs, row), labels=[labels[row]]).loss_dict for row in (0, 1, 2, 4)]
    alone = model(**single_inputs(inputs, 3), labels=[labels[3]]).loss_dict
    assert alone["loss_cls"] > 0
    assert all(value == 0 for name, value in alone.items() if not name.startswith("loss_cls"))
    frames = [7, 5, 5, 7]
    dice = sum(row["loss_dice"] * weight for row, weight in zip(others, frames, strict=True)) / sum(frames)
    assert together["loss_dice"].item() == pytest.approx(dice.item(), rel=1e-4)
    classes = sum(row["loss_cls"] * weight for row, weight in zip(others, frames, strict=True)) + 9 * alone["loss_cls"]
    assert together["loss_cls"].item() == pytest.approx(classes.item() / (sum(frames) + 9), rel=1e-4)


def test_loss_is_the_weighted_sum():
    model, inputs = tiny_model("soc").train(), tiny_inputs()
    outputs = model(**inputs, labels=random_labels(inputs))
    weights = loss_weights(model.config)
    total = sum(value * weights[name.removesuffix("_0")] for name, value in outputs.loss_dict.items())
    assert outputs.loss.item() == pytest.approx(total.item(), rel=1e-5)
    assert len(outputs.loss_dict) == 12
    model.config.auxiliary_loss = False
    assert model(**inputs, labels=random_labels(inputs)).loss_dict.keys() == weights.keys()


def test_a_few_steps_lower_the_loss():
    torch.manual_seed(0)
    model, inputs = tiny_model("soc++").train(), tiny_inputs(num_expressions=2)
    labels = random_labels(inputs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        loss = model(**inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_boxes_come_from_the_mask_extent():
    masks = torch.zeros(2, 20, 30, dtype=torch.bool)
    masks[0, 4:10, 6:12] = True  # rows 4..9, columns 6..11
    boxes = boxes_from_masks(masks, torch.tensor([20.0, 24.0]))
    expected = torch.tensor([8.5 / 24, 6.5 / 20, 5 / 24, 5 / 20])
    torch.testing.assert_close(boxes, torch.stack([expected, torch.zeros(4)]))


def test_box_and_focal_losses_equal_the_ones_of_transformers():
    generator = torch.Generator().manual_seed(0)
    centres = 0.3 + 0.4 * torch.rand(2, 6, 2, generator=generator)
    boxes = torch.cat([centres, 0.1 + 0.3 * torch.rand(2, 6, 2, generator=generator)], dim=-1)
    corners = torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], dim=-1)
    expected = corner_giou(corners[0], corners[1]).diagonal()
    torch.testing.assert_close(generalized_box_iou(boxes[0], boxes[1]), expected, atol=1e-4, rtol=1e-4)
    logits, targets = torch.randn(5, 40, generator=generator), (torch.rand(5, 40, generator=generator) > 0.7).float()
    focal = sigmoid_focal_loss(logits, targets).mean(1).sum() / 5
    torch.testing.assert_close(focal, mean_focal_loss(logits, targets, num_boxes=5))


def test_several_classes_need_class_labels():
    model, inputs = tiny_model("soc", num_classes=3), tiny_inputs()
    labels = random_labels(inputs)
    with pytest.raises(ValueError, match="no 'class_labels'"):
        model(**inputs, labels=labels)
    labels[0]["class_labels"] = torch.tensor(2)
    assert model(**inputs, labels=labels).loss.isfinite()
