"""What a graph file says, before anything is concluded from it."""
