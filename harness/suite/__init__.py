"""The suite as a whole: figures with intervals, the comparison of two adapters, the gate."""
