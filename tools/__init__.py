"""The functions that the example graphs call."""
