"""Functions that the graphs in the folder above name, rightly and wrongly."""
