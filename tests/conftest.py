"""Truth is float64, and eight devices are simulated, before any test touches JAX."""

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 8)
