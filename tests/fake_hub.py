# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A Hub on this machine that takes uploads: as much of its interface as `HfApi.upload_folder` speaks."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeHub(ThreadingHTTPServer):
    """Remembers the `repositories` that were made, and the `files` of all commits."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.repositories: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.large: dict[str, bytes] = {}
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, path: str, body: bytes) -> dict[str, Any] | None:
        if path == "/api/repos/create":
            self.repositories.append(json.loads(body))
            return {"url": f"{self.address}/{self.repositories[-1]['organization']}/{self.repositories[-1]['name']}"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in names}
            return {"files": [{"path": name, "uploadMode": modes[name], "shouldIgnore": False} for name in names]}
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                entry | {"actions": {"upload": {"href": f"{self.address}/large/{entry['oid']}"}}}
                for entry in json.loads(body)["objects"]
            ]
            return {"transfer": "basic", "objects": objects}
        if path.startswith("/large/"):
            self.large[path.removeprefix("/large/")] = body
            return {}
        if "/commit/" in path:
            for line in body.splitlines():
                self._commit(**json.loads(line))
            repository = path.removeprefix("/api/models/").partition("/commit/")[0]
            return {"success": True, "commitUrl": f"{self.address}/{repository}/commit/1", "commitOid": "1"}
        return None

    def _commit(self, key: str, value: dict[str, Any]) -> None:
        if key == "file":
            self.files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            self.files[value["path"]] = self.large[value["oid"]]


class _Request(BaseHTTPRequestHandler):
    server: FakeHub

    def do_POST(self) -> None:
        content = self.server.answer(self.path, self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(content).encode()
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""
