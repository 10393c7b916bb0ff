# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

from typing import Any

import numpy as np
import pytest
import torch
from models import ragged_inputs, random_labels, single_inputs, tiny_config, tiny_inputs, tiny_model
from transformers.loss.loss_for_object_detection import generalized_box_iou as corner_giou
from transformers.loss.loss_for_object_detection import sigmoid_focal_loss as mean_focal_loss

from transformers_soc.loss_soc import (
    Target,
    boxes_from_masks,
    expression_losses,
    generalized_box_iou,
    loss_weights,
    matching_cost,
    sigmoid_focal_loss,
)


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
    expected = corner_giou(corners(boxes[0]), corners(boxes[1])).diagonal()
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


@pytest.mark.parametrize(("name", "frames"), [("masks", 2), ("masks", 4), ("visible", 2), ("visible", 4)])
def test_labels_must_cover_the_clip(name, frames):
    model, inputs = tiny_model("soc").train(), tiny_inputs()
    (label,) = random_labels(inputs)
    label[name] = torch.cat([label[name], label[name]])[:frames]
    with pytest.raises(ValueError, match=r"`labels\[0\]` must cover the 3 frames of its clip"):
        model(**inputs, labels=[label])


def random_case() -> tuple[dict[str, torch.Tensor], Target, torch.Tensor]:
    """Three frames, four queries and two classes; the target is of the second class, and unseen in the last frame."""
    generator = torch.Generator().manual_seed(5)

    def boxes(*shape: int) -> torch.Tensor:
        return torch.cat([0.3 + 0.4 * torch.rand(*shape, 2, generator=generator) for _ in range(2)], dim=-1)

    prediction = {
        "logits": torch.randn(3, 4, 2, generator=generator),
        "pred_boxes": boxes(3, 4),
        "pred_masks": 3 * torch.randn(3, 4, 6, 8, generator=generator),
        "video_queries": torch.randn(4, 16, generator=generator),
    }
    masks = (torch.rand(3, 12, 16, generator=generator) > 0.6).float()
    target = Target(masks, boxes(3), torch.tensor([True, True, False]), class_index=1)
    return prediction, target, torch.randn(16, generator=generator)


def focal(probability: Any, positive: Any) -> Any:
    """Focal loss with alpha 0.25 and gamma 2, as its paper writes it."""
    hit = np.where(positive, probability, 1 - probability)
    return -np.where(positive, 0.25, 0.75) * (1 - hit) ** 2 * np.log(hit)


def plain_terms(query: int) -> dict[str, Any]:
    """By the definitions, for one query of `random_case`: values per frame, and its share of the contrast."""
    prediction, target, text = random_case()
    resized = torch.nn.functional.interpolate(prediction["pred_masks"], (12, 16), mode="bilinear")[:, query]
    masks, found = target.masks.double().numpy(), resized.double().sigmoid().numpy()
    own = prediction["pred_boxes"][:, query]
    contrast = prediction["video_queries"].double() @ text.double()
    return {
        "score": prediction["logits"][:, query, 1].double().sigmoid().numpy(),
        "focal": focal(found, masks > 0).mean((1, 2)),
        "dice": (2 * (found * masks).sum((1, 2)) + 1) / (found.sum((1, 2)) + masks.sum((1, 2)) + 1),
        "distance": (own - target.boxes).abs().sum(1).numpy(),
        "giou": corner_giou(corners(own), corners(target.boxes)).diagonal().numpy(),
        "share": contrast.softmax(0)[query].item(),
        "log_share": (contrast / 16).log_softmax(0)[query].item(),
    }


def corners(boxes: torch.Tensor) -> torch.Tensor:
    return torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)


COSTS = {
    # What the class costs is measured in the frames that show the object.
    "class_cost": lambda terms: (focal(terms["score"], True) - focal(terms["score"], False))[:2].mean(),
    "dice_cost": lambda terms: -terms["dice"].mean(),
    "bbox_cost": lambda terms: terms["distance"].mean(),
    "giou_cost": lambda terms: -terms["giou"].mean(),
    "contrastive_cost": lambda terms: -terms["share"],
}


@pytest.mark.parametrize("weights", [*([name] for name in COSTS), list(COSTS)], ids=[*COSTS, "all"])
def test_the_cost_of_a_query_is_its_definition(weights):
    numbers = {name: 2.0 + place if name in weights else 0.0 for place, name in enumerate(COSTS)}
    prediction, target, text = random_case()
    prediction = {name: value.requires_grad_() for name, value in prediction.items()}
    cost = matching_cost(prediction, target, text, tiny_config(num_classes=2, **numbers))
    expected = [sum(numbers[name] * COSTS[name](plain_terms(query)) for name in weights) for query in range(4)]
    assert cost.tolist() == pytest.approx(expected, abs=1e-4)
    assert not cost.requires_grad


def test_the_losses_of_an_expression_are_their_definitions():
    """Sums over frames for the cheapest query; the class loss is over all queries and classes."""
    prediction, target, text = random_case()
    config = tiny_config(num_classes=2)
    query = int(matching_cost(prediction, target, text, config).argmin())
    terms, positive = plain_terms(query), np.zeros((3, 4, 2), bool)
    positive[:2, query, 1] = True
    expected = {
        "loss_cls": focal(prediction["logits"].double().sigmoid().numpy(), positive).sum(),
        "loss_sigmoid_focal": terms["focal"].sum(),
        "loss_dice": (1 - terms["dice"]).sum(),
        "loss_bbox": terms["distance"].sum(),
        "loss_giou": (1 - terms["giou"]).sum(),
        "loss_con": -terms["log_share"],
    }
    losses = expression_losses(prediction, target, text, config)
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(expected, rel=1e-4)
