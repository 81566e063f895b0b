"""Which journals the runtime writes: part of every revision, so that a run never meets a runtime that writes others."""

VERSION = 2
