# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What Gradio allows and this Space does not: fetching addresses for visitors, and requests without end."""

import re
from pathlib import Path
from typing import Any

import gradio as gr

ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
# Routes on which Gradio passes on the files of other servers.
REMOTE = re.compile(r"/(file|proxy)=" + ADDRESS.pattern, re.IGNORECASE)
FORM_BYTES = 10_000  # of an upload's form around the file


def uploads_only(component: gr.Video) -> gr.Video:
    """The component, but that it refuses addresses in requests; Gradio would download them, of any size."""
    move = component.async_move_resource_to_block_cache

    async def move_local(path: str | Path | None) -> str | None:
        if path is not None and ADDRESS.match(str(path)):
            raise gr.Error("Addresses are not fetched: upload the video.", print_exception=False)
        return await move(path)

    component.async_move_resource_to_block_cache = move_local  # type: ignore[method-assign]
    return component


class TooLarge(Exception):
    """A body that is longer than one allowed upload."""


class Guard:
    """ASGI middleware that refuses remote files, and bodies that are longer than one allowed upload."""

    def __init__(self, app: Any, max_upload: int) -> None:
        self.app = app
        self.max_body = max_upload + FORM_BYTES

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif REMOTE.search(scope["path"]):
            await refuse(send, 403, "Addresses are not fetched.")
        elif int(dict(scope["headers"]).get(b"content-length", b"0")) > self.max_body:
            await refuse(send, 413, "The upload is too large.")
        else:
            try:
                await self.app(scope, self._bounded(receive), send)
            except TooLarge:
                await refuse(send, 413, "The upload is too large.")

    def _bounded(self, receive: Any) -> Any:
        """The same stream of messages, but that ends with `TooLarge` where a body without a stated length does not."""
        received = 0

        async def bounded() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body:
                raise TooLarge
            return message

        return bounded


async def refuse(send: Any, status: int, reason: str) -> None:
    """Answer with a status and one sentence."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
