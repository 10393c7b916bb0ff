# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Make the test modules of a transformers source archive importable outside its repository.

The archive has `tests/test_*_common.py` but not the modules these import from the rest of the repository. This script
takes the folder that holds them as `hf_tests`, makes it a package and writes a small stand-in for each missing module.
"""

import sys
from pathlib import Path

# Path below the folder -> text. The mixins are empty: generation and the exporters are not ours to test here.
STUBS = {
    "hf_tests/__init__.py": "",
    "hf_tests/exporters/__init__.py": "",
    "hf_tests/exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "hf_tests/generation/__init__.py": "",
    "hf_tests/generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "hf_tests/utils/__init__.py": "",
    "hf_tests/utils/test_configuration_utils.py": "config_common_kwargs = {}\n",
    "utils/fetch_hub_objects_for_ci.py": "def url_to_local_path(url, return_url_if_not_found=True):\n    return url\n",
}


def write_stubs(folder: Path) -> None:
    """Write the stand-ins below `folder`, keeping any module that the archive already has."""
    for name, text in STUBS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "hf_tests").is_dir():
        sys.exit("usage: make_hf_test_stubs.py FOLDER, where FOLDER holds the archive's tests as hf_tests")
    write_stubs(Path(sys.argv[1]))
