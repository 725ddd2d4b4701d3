"""What a rule is: the class, its three doors, how it is mounted on JAX, and where every rule is listed."""

from vjpkit.core.case import Case as Case
from vjpkit.core.case import Special as Special
from vjpkit.core.draw import Draw as Draw
from vjpkit.core.elementwise import elementwise as elementwise
from vjpkit.core.errors import DtypeError as DtypeError
from vjpkit.core.errors import RegistrationError as RegistrationError
from vjpkit.core.errors import RuleError as RuleError
from vjpkit.core.errors import ShapeError as ShapeError
from vjpkit.core.inline import inline as inline
from vjpkit.core.linear import linear as linear
from vjpkit.core.mounting import mount as mount
from vjpkit.core.registry import registry as registry
from vjpkit.core.rule import Rule as Rule
from vjpkit.core.rule import rule as rule
