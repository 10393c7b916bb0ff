# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What Gradio allows and this Space does not: fetching addresses for visitors, and requests without end."""

import re
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block

ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
# Routes on which Gradio passes on the files of other servers.
REMOTE = re.compile(r"/(file[=/]|proxy=)" + ADDRESS.pattern, re.IGNORECASE)
# Routes that this page does not use, and that read or keep files of visitors or run ffmpeg on them.
UNUSED = re.compile(
    r"/(gradio_api/)?(component_server|custom_component|deep_link|dev/|process_recording|proxy=|stream/|(undo-)?vibe)"
)
UPLOAD = "/gradio_api/upload"
FORM_BYTES = 10_000  # of an upload's form around the file
REQUEST_BYTES = 500_000  # of all other requests; the page needs some thousands


def uploads_only(page: gr.Blocks) -> None:
    """Let no part of the page take addresses; Gradio would download them, of any size, even for a text."""
    for block in page.blocks.values():
        take_no_addresses(block)


def take_no_addresses(block: Block) -> None:
    """Make this part of a page refuse a file that is an address."""
    move = block.async_move_resource_to_block_cache

    async def move_local(path: str | Path | None) -> str | None:
        if path is not None and ADDRESS.match(str(path)):
            raise gr.Error("Addresses are not fetched: upload the video.", print_exception=False)
        return await move(path)

    block.async_move_resource_to_block_cache = move_local  # type: ignore[method-assign]


class TooLarge(Exception):
    """A body that is longer than it may be."""


class Guard:
    """ASGI middleware that refuses remote files, routes that the page does not use, and long bodies."""

    def __init__(self, app: Any, max_upload: int) -> None:
        self.app = app
        self.max_upload = max_upload + FORM_BYTES

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self.max_upload if scope["path"] == UPLOAD else REQUEST_BYTES
        if REMOTE.search(scope["path"]):
            await refuse(send, 403, "Addresses are not fetched.")
        elif UNUSED.match(scope["path"]):
            await refuse(send, 404, "This Space has no such route.")
        elif int(dict(scope["headers"]).get(b"content-length", b"0")) > most:
            await refuse(send, 413, "The upload or request is too large.")
        else:
            try:
                await self.app(scope, bounded(receive, most), send)
            except TooLarge:
                await refuse(send, 413, "The upload or request is too large.")


def bounded(receive: Any, most: int) -> Any:
    """The same stream of messages, but that it ends with `TooLarge` where a body without a stated length does not."""
    received = 0

    async def receive_bounded() -> Any:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise TooLarge
        return message

    return receive_bounded


async def refuse(send: Any, status: int, reason: str) -> None:
    """Answer with a status and one sentence."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
