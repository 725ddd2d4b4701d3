"""Functions made safe at their singular points, and the projections that sparse softmaxes and their losses share."""
