"""Derivations of functions: explained stage by stage, and written as the source of a rule.

derive(f, *args, wrt=0)      the derivative as formulas, in seven notations, each computed and compared
write_rule(f, *args)        Python source of an explicit rule for f, checked
"""

from vjpkit.derive.automatic import BestOrder as BestOrder
from vjpkit.derive.automatic import best_order as best_order
from vjpkit.derive.automatic import grad_auto as grad_auto
from vjpkit.derive.derivation import Derivation as Derivation
from vjpkit.derive.derivation import Formula as Formula
from vjpkit.derive.deriving import derive as derive
from vjpkit.derive.errors import DeriveError as DeriveError
from vjpkit.derive.explaining import Explanation as Explanation
from vjpkit.derive.explaining import explain as explain
from vjpkit.derive.writing import write_rule as write_rule
