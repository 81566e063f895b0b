"""Serving graphs: the engine and the service process as supervised children, and the revisions they keep alive."""
