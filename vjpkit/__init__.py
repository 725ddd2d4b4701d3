"""Differentiable functions for JAX whose derivatives are written by hand, and the tools that prove them right."""

from vjpkit import losses as losses
from vjpkit import nn as nn
from vjpkit.bench import bench as bench
from vjpkit.check import check as check
from vjpkit.check import check_jvp as check_jvp
from vjpkit.check import check_vjp as check_vjp
from vjpkit.check.diagnosis import Diagnosis as Diagnosis
from vjpkit.check.diagnosis import diagnose as diagnose
from vjpkit.core import DtypeError as DtypeError
from vjpkit.core import RegistrationError as RegistrationError
from vjpkit.core import Rule as Rule
from vjpkit.core import RuleError as RuleError
from vjpkit.core import ShapeError as ShapeError
from vjpkit.core import elementwise as elementwise
from vjpkit.core import inline as inline
from vjpkit.core import linear as linear
from vjpkit.core import mount as mount
from vjpkit.core import registry as registry
from vjpkit.core import rule as rule
from vjpkit.derive import best_order as best_order
from vjpkit.derive import derive as derive
from vjpkit.derive import explain as explain
from vjpkit.derive import grad_auto as grad_auto
from vjpkit.derive import write_rule as write_rule
from vjpkit.jacobian import hessian as hessian
from vjpkit.jacobian import jacobian as jacobian

__version__ = "0.1.0"
