# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Without the name of a Hub repository nothing asks the network: no socket is made, no address looked up."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import gray_frames, tiny_processor
from models import tiny_model

from transformers_soc.video_io import write_video

# Python tells its audit hooks of every socket, whoever makes it; a hook cannot be taken off again.
PROGRAM = """
import socket, sys

def watch(event, arguments):
    local = event == "socket.__new__" and arguments[1] == socket.AF_UNIX
    if event.startswith("socket.") and not local and event != "socket.gethostname":
        print(f"{event} {arguments}", file=sys.stderr, flush=True)
        raise RuntimeError(f"the network is asked: {event}")

sys.addaudithook(watch)
try:
    socket.socket()
except RuntimeError:
    print("watched")

folder, video, output = sys.argv[1:]
import transformers_soc, transformers_soc_cli
from transformers import AutoModel, AutoProcessor, pipeline
model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
inputs = processor(videos=video, text="a dog", num_frames=2)
assert model(**inputs).logits.isfinite().all()
assert pipeline("referring-video-segmentation", model=folder)(video, "a dog")["masks"].any() in (True, False)
bundled = pipeline("referring-video-segmentation")
assert bundled(video, "the red circle", num_frames=2)["masks"].shape == (2, 32, 48)
transformers_soc.SocModel(transformers_soc.SocConfig.from_dict(model.config.to_dict()))
sys.exit(transformers_soc_cli.main(["segment", video, "a dog", "--output", output, "--num-frames", "2"]))
"""


def test_nothing_asks_the_network(tmp_path: Path):
    """Import, loading, pipeline and command line, with nothing in the cache and with the Hub not said to be away."""
    tiny_model("soc++").save_pretrained(tmp_path / "model")
    tiny_processor().save_pretrained(tmp_path / "model")
    write_video(tmp_path / "clip.mp4", gray_frames(4), fps=10)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_OFFLINE")}
    environment |= {"HF_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "model", tmp_path / "clip.mp4", tmp_path / "out.mp4"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "watched" in done.stdout and (tmp_path / "out.mp4").is_file()
    asked = [line for line in done.stderr.splitlines() if line.startswith("socket.")]
    assert len(asked) == 1, asked  # the one that shows that it is watched
