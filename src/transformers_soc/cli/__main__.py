# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`python -m transformers_soc.cli` is the command `transformers-soc`."""

import sys

from transformers_soc_cli import main

sys.exit(main())
