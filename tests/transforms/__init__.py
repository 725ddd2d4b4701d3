"""Every transformation of JAX, held against plain autodiff, with proof of which map of the rule ran."""
