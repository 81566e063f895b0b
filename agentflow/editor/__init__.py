"""What editors are told of graph files: a JSON Schema, for completion, hover and a first look at mistakes."""
