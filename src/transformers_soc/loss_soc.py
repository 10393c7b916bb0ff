# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
The official objective of SOC and SOC++: one query per clip is matched to the referred object over all its frames, and
learns class, box, mask and a video-level contrast.

Losses are sums over all processes divided by pooled counts, so that neither the batch's layout nor its split over
processes changes them.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from .configuration_soc import SocConfig

FOCAL_ALPHA = 0.25
GIOU_SMOOTHING = 1e-6

Level = dict[str, torch.Tensor]


@dataclass
class Target:
    """
    What one expression asks for, over the clip's own frames.

    Args:
        masks: (frames, H, W) float32 at the padded input size.
        boxes: (frames, 4) float32 (cx, cy, w, h) in 0..1 of the unpadded frame; zero where the object is absent.
        visible: (frames,) bool.
        class_index: class of the object, 0 for a single class.
    """

    masks: torch.Tensor
    boxes: torch.Tensor
    visible: torch.Tensor
    class_index: int

    @property
    def exists(self) -> bool:
        return bool(self.visible.any())


def boxes_from_masks(masks: torch.Tensor, valid_size: torch.Tensor) -> torch.Tensor:
    """
    Boxes (frames, 4) float32 (cx, cy, w, h) in 0..1 of masks (frames, H, W), in inclusive pixel coordinates; zero for
    an empty mask. valid_size: (2,) height and width of the unpadded frame.
    """
    present = masks.flatten(1).any(1)
    edges = []
    for axis, size in ((1, valid_size[1]), (2, valid_size[0])):  # columns, then rows
        hit = masks.any(axis).to(torch.float32)  # (frames, columns or rows)
        first = hit.argmax(1)
        last = hit.shape[1] - 1 - hit.flip(1).argmax(1)
        edges.append(torch.stack([(first + last) / 2, last - first], dim=-1) / size)
    boxes = torch.stack(edges, dim=-1).flatten(1)  # (cx, cy, w, h)
    return boxes * present[:, None]


def read_target(
    label: dict[str, torch.Tensor], index: int, num_frames: int, valid_size: torch.Tensor, config: SocConfig
) -> Target:
    """Checks one entry of `labels` and completes its boxes."""
    for name in ("masks", "visible"):
        if name not in label:
            raise ValueError(
                f"`labels[{index}]` has no '{name}': give `masks` (frames, H, W) and `visible` (frames,)."
            )
    device = valid_size.device
    masks, visible = label["masks"].to(device).bool(), label["visible"].to(device).bool()
    if masks.shape[0] != num_frames or visible.shape != (num_frames,):
        raise ValueError(
            f"`labels[{index}]` must cover the {num_frames} frames of its clip, got masks {tuple(masks.shape)} and "
            f"visible {tuple(visible.shape)}."
        )
    class_index = 0
    if config.num_classes > 1:
        if "class_labels" not in label:
            raise ValueError(f"`labels[{index}]` has no 'class_labels', which a model of several classes needs.")
        class_index = int(label["class_labels"])
    boxes = label.get("boxes")
    boxes = boxes_from_masks(masks, valid_size) if boxes is None else boxes.to(device).float()
    return Target(masks.float(), boxes, visible, class_index)


def generalized_box_iou(boxes: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Smoothed GIoU of (..., 4) boxes (cx, cy, w, h), element by element; boxes without area are legal."""
    starts = boxes[..., :2] - boxes[..., 2:] / 2, targets[..., :2] - targets[..., 2:] / 2
    ends = boxes[..., :2] + boxes[..., 2:] / 2, targets[..., :2] + targets[..., 2:] / 2
    shared = (torch.minimum(*ends) - torch.maximum(*starts)).clamp(min=0).prod(-1)
    union = boxes[..., 2:].prod(-1) + targets[..., 2:].prod(-1) - shared
    enclosing = (torch.maximum(*ends) - torch.minimum(*starts)).clamp(min=0).prod(-1)
    iou = (shared + GIOU_SMOOTHING) / (union + GIOU_SMOOTHING)
    return iou - (enclosing - union + GIOU_SMOOTHING) / (enclosing + GIOU_SMOOTHING)


def dice_score(probabilities: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Dice of (..., H, W) masks, smoothed by 1."""
    shared = (probabilities * masks).sum((-2, -1))
    return (2 * shared + 1) / (probabilities.sum((-2, -1)) + masks.sum((-2, -1)) + 1)


def sigmoid_focal_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Element-wise focal loss, gamma 2."""
    probabilities = logits.sigmoid()
    miss = torch.where(targets > 0, 1 - probabilities, probabilities)
    alpha = torch.where(targets > 0, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    return alpha * miss**2 * functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def resize_masks(mask_logits: torch.Tensor, target: Target) -> torch.Tensor:
    """(frames, queries, h, w) logits to the size of the target masks."""
    return functional.interpolate(mask_logits.float(), size=target.masks.shape[-2:], mode="bilinear")


@torch.no_grad()
def matching_cost(prediction: Level, target: Target, text_feature: torch.Tensor, config: SocConfig) -> torch.Tensor:
    """
    Cost (queries,) of answering a target with each query (official `HungarianMatcher`).

    Args:
        prediction: `logits`, `pred_boxes`, `pred_masks` of one expression's own frames, and its `video_queries`.
        text_feature: (d_model,).
    """
    scores = prediction["logits"].float().sigmoid()[..., target.class_index]  # (frames, queries)
    positive = FOCAL_ALPHA * (1 - scores) ** 2 * -(scores + 1e-8).log()
    negative = (1 - FOCAL_ALPHA) * scores**2 * -(1 - scores + 1e-8).log()
    class_cost = (positive - negative)[target.visible].mean(0)
    probabilities = resize_masks(prediction["pred_masks"], target).sigmoid()
    dice_cost = -dice_score(probabilities, target.masks[:, None]).mean(0)
    boxes = target.boxes[:, None]
    box_cost = (prediction["pred_boxes"] - boxes).abs().sum(-1).mean(0)
    giou_cost = -generalized_box_iou(prediction["pred_boxes"], boxes).mean(0)
    cost = config.class_cost * class_cost + config.dice_cost * dice_cost
    cost = cost + config.bbox_cost * box_cost + config.giou_cost * giou_cost
    if config.contrastive_cost:
        contrast = (prediction["video_queries"].float() @ text_feature.float()).softmax(0)
        cost = cost - config.contrastive_cost * contrast
    return cost


def pooled_count(count: int, device: torch.device) -> torch.Tensor:
    """
    Share of one process in a count over all of them, at least 1 in all: the mean of the processes' gradients is then
    the gradient of the joint batch.
    """
    total = torch.tensor(float(count), device=device)
    processes = 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
        processes = torch.distributed.get_world_size()
    return total.clamp(min=1) / processes


def expression_losses(
    prediction: Level, target: Target, text_feature: torch.Tensor, config: SocConfig
) -> dict[str, torch.Tensor]:
    """Sums of the losses of one expression over its frames; a row without a target has the class loss alone."""
    logits = prediction["logits"].float()
    class_targets = torch.zeros_like(logits)
    if not target.exists:
        return {"loss_cls": sigmoid_focal_loss(logits, class_targets).sum()}
    # One target per expression: the linear assignment is the cheapest query.
    query = matching_cost(prediction, target, text_feature, config).argmin()
    class_targets[:, query, target.class_index] = target.visible.to(logits.dtype)
    mask_logits = resize_masks(prediction["pred_masks"][:, query, None], target).squeeze(1)
    boxes = prediction["pred_boxes"][:, query]
    contrast = prediction["video_queries"].float() @ text_feature.float() / text_feature.shape[-1]
    return {
        "loss_cls": sigmoid_focal_loss(logits, class_targets).sum(),
        "loss_sigmoid_focal": sigmoid_focal_loss(mask_logits, target.masks).mean((1, 2)).sum(),
        "loss_dice": (1 - dice_score(mask_logits.sigmoid(), target.masks)).sum(),
        "loss_bbox": (boxes - target.boxes).abs().sum(),
        "loss_giou": (1 - generalized_box_iou(boxes, target.boxes)).sum(),
        "loss_con": -contrast.log_softmax(0)[query],
    }


def soc_loss(
    levels: list[Level],
    labels: list[dict[str, torch.Tensor]],
    text_features: torch.Tensor,
    frame_mask: torch.Tensor,
    valid_sizes: torch.Tensor,
    config: SocConfig,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """
    Args:
        levels: predictions of the supervised decoder layers, the last one being the main output.
        labels: one dict per expression, as `SocModel.forward` describes.
        text_features: (expressions, d_model).
        frame_mask: (expressions, frames) bool, True = real frame.
        valid_sizes: (expressions, 2) float32 (height, width) of the unpadded frames.

    Returns:
        The weighted sum, and the unweighted losses by their official names, `_0`, `_1` for the auxiliary levels.
    """
    lengths: list[int] = frame_mask.sum(1).tolist()
    targets = [
        read_target(label, index, length, valid_size, config)
        for index, (label, length, valid_size) in enumerate(zip(labels, lengths, valid_sizes, strict=True))
    ]
    device = frame_mask.device
    matched = [index for index, target in enumerate(targets) if target.exists]
    all_frames = pooled_count(sum(lengths), device)
    target_frames = pooled_count(sum(lengths[index] for index in matched), device)
    counts = {name: target_frames for name in ("loss_sigmoid_focal", "loss_dice", "loss_bbox", "loss_giou")}
    counts |= {"loss_cls": all_frames, "loss_con": pooled_count(len(matched), device)}
    weights = loss_weights(config)

    total = text_features.new_zeros((), dtype=torch.float32)
    loss_dict: dict[str, Any] = {}
    for number, level in enumerate(levels):
        suffix = "" if number == len(levels) - 1 else f"_{number}"
        sums = {name: frame_mask.new_zeros((), dtype=torch.float32) for name in weights}
        for index, (target, length) in enumerate(zip(targets, lengths, strict=True)):
            own = {name: level[name][index, :length] for name in ("logits", "pred_boxes", "pred_masks")}
            own["video_queries"] = level["video_queries"][index]
            for name, value in expression_losses(own, target, text_features[index], config).items():
                sums[name] = sums[name] + value
        for name, value in sums.items():
            loss = value / counts[name]
            loss_dict[name + suffix] = loss.detach()
            total = total + weights[name] * loss
    return total, loss_dict


def loss_weights(config: SocConfig) -> dict[str, float]:
    """Weight of each loss, by its official name."""
    return {
        "loss_cls": config.class_loss_coefficient,
        "loss_sigmoid_focal": config.mask_loss_coefficient,
        "loss_dice": config.dice_loss_coefficient,
        "loss_bbox": config.bbox_loss_coefficient,
        "loss_giou": config.giou_loss_coefficient,
        "loss_con": config.contrastive_loss_coefficient,
    }


__all__ = ["boxes_from_masks", "loss_weights", "soc_loss"]
