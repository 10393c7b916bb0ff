# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Pictures of masks on video frames: overlays with one colour per expression, and contact sheets."""

import colorsys
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Told apart by people with any common colour vision, and bright enough on dark and light frames.
PALETTE: tuple[Color, ...] = (
    (255, 130, 0),
    (60, 170, 255),
    (255, 235, 60),
    (235, 90, 190),
    (0, 200, 140),
    (215, 60, 40),
    (150, 110, 255),
    (190, 190, 190),
)
STRIP_OPACITY = 0.7
MAX_STRIP_FRACTION = 0.4
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def expression_colors(count: int) -> list[Color]:
    """Return `count` fixed RGB colours (0 to 255): the palette, then further hues."""
    colors = list(PALETTE[:count])
    for index in range(len(colors), count):
        # The golden ratio spreads any number of hues evenly.
        hue = (index * 0.618034) % 1.0
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.65, 0.95)
        colors.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colors


def overlay_masks(
    frames: Any,
    masks: Sequence[Any],
    labels: Sequence[str] | None = None,
    colors: Sequence[Color] | None = None,
    alpha: float = 0.5,
    *,
    contour: bool = True,
    font: str | Path | None = None,
) -> np.ndarray:
    """Paint the masks of each expression on the frames, in one colour per expression.

    Args:
        frames: uint8 RGB array (frames, height, width, 3), or a sequence of such frames or PIL images.
        masks: one bool array (frames, height, width) per expression.
        labels: one text per expression for the caption strip at the lower edge; None draws no strip.
        colors: one RGB colour (0 to 255) per expression; None takes fixed, distinguishable ones.
        alpha: opacity of the masks, 0 to 1.
        contour: draw an opaque line along the inside of each mask's edge.
        font: path of a TrueType font for the captions; None takes Pillow's own, which has Latin letters only and
            shows others as empty boxes.

    Returns:
        New uint8 frames (frames, height, width, 3).

    Raises:
        ValueError: shapes, lengths or values that do not fit together.
        TypeError: frames that are not uint8 or masks that are not bool.
    """
    painted = list(iter_overlays(frames, masks, labels, colors, alpha, contour=contour, font=font))
    if not painted:
        raise ValueError("There are no frames to paint; give at least one.")
    return np.stack(painted)


def iter_overlays(
    frames: Iterable[Any],
    masks: Sequence[Any],
    labels: Sequence[str] | None = None,
    colors: Sequence[Color] | None = None,
    alpha: float = 0.5,
    *,
    contour: bool = True,
    font: str | Path | None = None,
) -> Iterator[np.ndarray]:
    """Paint frame by frame, for clips that should not be held twice: as `overlay_masks`, but lazy.

    Yields uint8 frames (height, width, 3). The arguments are checked at once, each frame when its turn comes; a clip
    with more or fewer frames than the masks is a ValueError when that is seen.
    """
    layers = [_as_masks(mask, index) for index, mask in enumerate(masks)]
    if len({layer.shape for layer in layers}) > 1:
        raise ValueError(f"All masks must have one shape, but they have {[layer.shape for layer in layers]}.")
    if colors is None:
        colors = expression_colors(len(layers))
    for name, values in (("labels", labels), ("colors", colors)):
        if values is not None and (isinstance(values, str) or len(values) != len(layers)):
            raise ValueError(f"`{name}` must have one entry for each of the {len(layers)} masks, but is {values!r}.")
    if not 0 <= alpha <= 1:
        raise ValueError(f"`alpha` must lie between 0 and 1, but is {alpha}.")
    return _paint_frames(frames, layers, labels, np.asarray(colors, dtype=np.float32), alpha, contour, font)


def contact_sheet(
    frames: Any,
    captions: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    max_frames: int = 12,
    frame_width: int = 320,
    font: str | Path | None = None,
) -> Image.Image:
    """Lay evenly chosen frames out in a grid, first to last.

    Args:
        frames: uint8 RGB array (frames, height, width, 3), or a sequence of such frames or PIL images.
        captions: one text per frame, drawn below it; None numbers the frames from 0.
        columns: frames in a row; None makes the sheet about square.
        max_frames: the most frames on the sheet.
        frame_width: width of a frame on the sheet in pixels.
        font: as in `overlay_masks`.

    Returns:
        An RGB picture.

    Raises:
        ValueError: no frames, captions of another number, or counts below 1.
        TypeError: frames that are not uint8.
    """
    if len(frames) == 0:
        raise ValueError("There are no frames for a contact sheet; give at least one.")
    if captions is not None and len(captions) != len(frames):
        raise ValueError(f"There are {len(captions)} captions for {len(frames)} frames; give one for each.")
    if min(max_frames, frame_width, columns or 1) < 1:
        raise ValueError("`max_frames`, `frame_width` and `columns` must be at least 1.")
    count = min(max_frames, len(frames))
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(int).tolist()
    first = _as_frame(frames[chosen[0]], chosen[0])
    cell_height = max(1, round(frame_width * first.shape[0] / first.shape[1]))
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    gap = max(2, frame_width // 40)
    letters = _load_font(max(10, frame_width // 18), font)
    line = _line_height(letters)
    rows = math.ceil(count / columns)
    sheet = Image.new(
        "RGB", (columns * (frame_width + gap) + gap, rows * (cell_height + line + gap) + gap), (255, 255, 255)
    )
    draw = ImageDraw.Draw(sheet)
    for position, index in enumerate(chosen):
        row, column = divmod(position, columns)
        corner = (gap + column * (frame_width + gap), gap + row * (cell_height + line + gap))
        picture = Image.fromarray(_as_frame(frames[index], index))
        sheet.paste(picture.resize((frame_width, cell_height), Image.Resampling.LANCZOS), corner)
        caption = captions[index] if captions is not None else str(index)
        _draw_text(draw, (corner[0], corner[1] + cell_height), caption, frame_width, letters, (0, 0, 0))
    return sheet


def _as_frame(frame: Any, index: int) -> np.ndarray:
    """Check one frame and return it as uint8 (height, width, 3)."""
    array = np.asarray(frame.convert("RGB") if isinstance(frame, Image.Image) else frame)
    if array.ndim != 3 or array.shape[-1] != 3 or array.size == 0:
        raise ValueError(f"Frame {index} must be (height, width, 3), but has shape {array.shape}.")
    if array.dtype != np.uint8:
        raise TypeError(f"Frame {index} must be uint8 RGB with values 0 to 255, but is {array.dtype}.")
    return array


def _as_masks(masks: Any, index: int) -> np.ndarray:
    """Check the masks of one expression and return them as bool (frames, height, width)."""
    array = np.asarray(masks)
    if array.ndim != 3:
        raise ValueError(f"Masks {index} must be (frames, height, width), but have shape {array.shape}.")
    if array.dtype != np.bool_:
        raise TypeError(f"Masks {index} must be bool, but are {array.dtype}; threshold them first.")
    return array


def _paint_frames(
    frames: Iterable[Any],
    layers: list[np.ndarray],
    labels: Sequence[str] | None,
    colors: np.ndarray,
    alpha: float,
    contour: bool,
    font: str | Path | None,
) -> Iterator[np.ndarray]:
    strip: np.ndarray | None = None
    count = 0
    for index, frame in enumerate(frames):
        canvas = _as_frame(frame, index).copy()
        if layers and (index >= len(layers[0]) or canvas.shape[:2] != layers[0].shape[1:]):
            raise ValueError(
                f"Frame {index} of size {canvas.shape[:2]} has no masks: they are {layers[0].shape}; masks must have "
                "the number and the size of the frames."
            )
        _paint_masks(canvas, [layer[index] for layer in layers], colors, alpha, contour)
        if labels:
            if strip is None or strip.shape[1] != canvas.shape[1]:
                strip = _caption_strip(labels, colors, canvas.shape[0], canvas.shape[1], font)
            _blend_strip(canvas, strip)
        count += 1
        yield canvas
    if layers and count != len(layers[0]):
        raise ValueError(f"There are masks for {len(layers[0])} frames, but only {count} frames came.")


def _paint_masks(canvas: np.ndarray, masks: list[np.ndarray], colors: np.ndarray, alpha: float, contour: bool) -> None:
    """Blend the masks (height, width) into the canvas in place; the contours come last, so that none is covered."""
    for mask, color in zip(masks, colors, strict=True):
        canvas[mask] = ((1 - alpha) * canvas[mask] + alpha * color).round().astype(np.uint8)
    if contour:
        thickness = max(1, round(min(canvas.shape[:2]) / 300))
        for mask, color in zip(masks, colors, strict=True):
            canvas[_inner_edge(mask, thickness)] = color.astype(np.uint8)


def _inner_edge(mask: np.ndarray, thickness: int) -> np.ndarray:
    """Pixels (height, width) of the mask within `thickness` of its outside; the frame's border is no outside."""
    if not mask.any():
        return mask
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    # Only the mask's own rectangle is looked at, with a margin that shows where it ends.
    box = (
        slice(max(0, rows[0] - 1), rows[-1] + 2),
        slice(max(0, columns[0] - 1), columns[-1] + 2),
    )
    core = mask[box]
    for _ in range(thickness):
        padded = np.pad(core, 1, mode="edge")
        core = core & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    edge = np.zeros_like(mask)
    edge[box] = mask[box] & ~core
    return edge


def _caption_strip(
    labels: Sequence[str], colors: np.ndarray, height: int, width: int, font: str | Path | None
) -> np.ndarray:
    """Draw the strip uint8 (strip height, width, 3): one line per label, as many as fit, with the rest counted."""
    letters = _load_font(max(10, height // 24), font)
    line = _line_height(letters)
    lines = max(2, int(height * MAX_STRIP_FRACTION) // line)
    shown = len(labels) if len(labels) <= lines else lines - 1
    rows = min(len(labels), lines)
    strip = Image.new("RGB", (width, min(height, rows * line)), (0, 0, 0))
    draw = ImageDraw.Draw(strip)
    margin = max(2, line // 4)
    # The swatch is as high as a capital letter and stands on the same line.
    _, top, _, bottom = letters.getbbox("A")
    swatch = max(1, int(bottom - top))
    for row in range(shown):
        color = (int(colors[row][0]), int(colors[row][1]), int(colors[row][2]))
        upper = row * line + int(top)
        draw.rectangle((margin, upper, margin + swatch, upper + swatch - 1), fill=color)
        start = 2 * margin + swatch + 1
        _draw_text(draw, (start, row * line), labels[row], width - start - margin, letters, color)
    if rows > shown:
        rest = f"and {len(labels) - shown} more"
        _draw_text(draw, (margin, shown * line), rest, width - 2 * margin, letters, (255, 255, 255))
    return np.asarray(strip)


def _blend_strip(canvas: np.ndarray, strip: np.ndarray) -> None:
    """Lay the strip over the lower edge in place: its black lets the frame through, its letters do not."""
    below = canvas[-len(strip) :]
    dimmed = below * (1 - STRIP_OPACITY)
    ink = strip.max(axis=-1, keepdims=True) / 255
    below[:] = (dimmed * (1 - ink) + strip).clip(0, 255).round().astype(np.uint8)


def _load_font(size: int, path: str | Path | None) -> Font:
    """Return the font at `path`, or Pillow's own, at `size` pixels."""
    if path is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise OSError(f"Cannot read the font file {str(path)!r}; give the path of a TrueType font.") from error


def _line_height(letters: Font) -> int:
    _, top, _, bottom = letters.getbbox("Ag|y")
    return math.ceil(bottom + top) + 2


def _draw_text(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, width: int, letters: Font, color: Color
) -> None:
    """Write one line, shortened with an ellipsis to `width` pixels."""
    text = _encodable(" ".join(text.split()), letters)
    if letters.getlength(text) > width:
        ending = _encodable(ELLIPSIS, letters)
        # The longest beginning that fits, by bisection: a sentence may be thousands of characters long.
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if letters.getlength(text[:middle] + ending) <= width else (low, middle - 1)
        text = text[:low].rstrip() + ending
    draw.text(corner, text, fill=color, font=letters)


def _encodable(text: str, letters: Font) -> str:
    """Replace what the font's encoding cannot express: Pillow without FreeType has a Latin-1 bitmap font."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if isinstance(letters, ImageFont.FreeTypeFont) else text.encode("latin-1", "replace").decode("latin-1")
