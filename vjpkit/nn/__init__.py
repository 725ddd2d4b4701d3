"""Layers and activations, as in `jax.nn`: the same names, arguments and defaults, with derivatives by hand."""

from vjpkit.nn.activations import celu as celu
from vjpkit.nn.activations import elu as elu
from vjpkit.nn.activations import hard_tanh as hard_tanh
from vjpkit.nn.activations import leaky_relu as leaky_relu
from vjpkit.nn.activations import log_sigmoid as log_sigmoid
from vjpkit.nn.activations import relu as relu
from vjpkit.nn.activations import relu6 as relu6
from vjpkit.nn.activations import selu as selu
from vjpkit.nn.activations import sigmoid as sigmoid
from vjpkit.nn.activations import softplus as softplus
from vjpkit.nn.activations import squareplus as squareplus
from vjpkit.nn.activations import tanh as tanh
from vjpkit.nn.gates import gelu as gelu
from vjpkit.nn.gates import mish as mish
from vjpkit.nn.gates import silu as silu
from vjpkit.nn.gates import swish as swish
from vjpkit.nn.layers import affine as affine
from vjpkit.nn.layers import dense as dense
from vjpkit.nn.layers import einsum as einsum
from vjpkit.nn.softmaxes import log_softmax as log_softmax
from vjpkit.nn.softmaxes import logsumexp as logsumexp
from vjpkit.nn.softmaxes import softmax as softmax
