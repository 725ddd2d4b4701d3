"""Derivatives as formulas: what `vjpkit.derive` reads, and the seven notations that it writes.

scalars, functions     what happens entry by entry, and its slope
reading, selections    a program as values, each a linear map away from those it reads
maps, graph            these maps, and the lines that the chain rule makes of them, from the output back
scripts, symbols       how things are written, as text and as LaTeX; names and dimensions
arrays, matrices, kronecker, subscripts, differential      the notations: expressions that can be printed and computed
"""
