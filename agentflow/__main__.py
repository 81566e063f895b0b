"""`python -m agentflow`."""

from __future__ import annotations

import sys

from agentflow.cli import main

sys.exit(main())
