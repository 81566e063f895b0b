"""The node kinds: one file a kind, one line each in the registry."""
