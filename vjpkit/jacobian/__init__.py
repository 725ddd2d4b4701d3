"""Jacobians as objects: products in both directions, structure, layouts, and numbers only when asked for.

    J = jacobian(f, *args, wrt=0)        ∂f/∂args[wrt], not formed
    H = hessian(f, *args, wrt=0)         ∂²f/∂args[wrt]², the Jacobian of the gradient
    J @ v, J.T @ g                       a JVP, a VJP
    J.shape                              out.shape + in.shape, the numerator layout
    J.structure                          "diagonal", "kronecker", …, with .operator and .factors
    J.materialize(layout=, vec=)         the numbers, in the layout "numerator", "denominator" or "argument"
    J.row(i), J.column(j), J.block(b), J.norm()
    sparse_jacobian(f, *args), sparse_hessian(f, *args)      compressed by colouring
    as_lineax(operator), from_lineax(operator)               to lineax's operators and from them, if it is installed

The kinds of structure, narrowest first: zero, identity, scaled, diagonal, permutation, selection, toeplitz,
kronecker, block-diagonal, low rank, banded, triangular, sparse, dense.
"""

from vjpkit.jacobian.errors import JacobianError as JacobianError
from vjpkit.jacobian.errors import LayoutError as LayoutError
from vjpkit.jacobian.exchange import as_lineax as as_lineax
from vjpkit.jacobian.exchange import from_lineax as from_lineax
from vjpkit.jacobian.hessians import hessian as hessian
from vjpkit.jacobian.hessians import sparse_hessian as sparse_hessian
from vjpkit.jacobian.jacobians import Jacobian as Jacobian
from vjpkit.jacobian.jacobians import jacobian as jacobian
from vjpkit.jacobian.jacobians import sparse_jacobian as sparse_jacobian
from vjpkit.jacobian.layouts import Derivative as Derivative
from vjpkit.jacobian.layouts import denominator as denominator
from vjpkit.jacobian.layouts import numerator as numerator
from vjpkit.jacobian.operators import Dense as Dense
from vjpkit.jacobian.operators import Diagonal as Diagonal
from vjpkit.jacobian.operators import Identity as Identity
from vjpkit.jacobian.operators import Operator as Operator
from vjpkit.jacobian.operators import Outer as Outer
from vjpkit.jacobian.operators import Scaled as Scaled
from vjpkit.jacobian.operators import Zero as Zero
from vjpkit.jacobian.patterned import BlockDiagonal as BlockDiagonal
from vjpkit.jacobian.patterned import Kronecker as Kronecker
from vjpkit.jacobian.patterned import Selection as Selection
from vjpkit.jacobian.patterned import Sparse as Sparse
from vjpkit.jacobian.patterned import Toeplitz as Toeplitz
from vjpkit.jacobian.products import product as product
from vjpkit.jacobian.products import product_flops as product_flops
from vjpkit.jacobian.structure import Structure as Structure
from vjpkit.jacobian.vec import commutation as commutation
from vjpkit.jacobian.vec import matmul_jacobian as matmul_jacobian
from vjpkit.jacobian.vec import unvec as unvec
from vjpkit.jacobian.vec import vec as vec
