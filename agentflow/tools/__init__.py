"""Tools of a graph as the compiler sees them: one file a kind."""
