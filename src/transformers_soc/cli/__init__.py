# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The sub-commands of `transformers-soc`, a module with `run(options)` each; the parser is `transformers_soc_cli`."""
