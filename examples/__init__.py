# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Scripts to copy and change; the wheel carries this folder as `transformers_soc.scripts`."""
