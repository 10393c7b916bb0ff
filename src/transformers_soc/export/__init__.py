# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What leaves the package: folders for the Hub with their own code (`export.hub`), and graphs (`export.graphs`)."""
