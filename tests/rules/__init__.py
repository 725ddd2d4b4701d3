"""Every rule beside the truth: its primal's value, and JAX's own autodiff of the primal, in float64."""
