"""What is wrong with a derivative, by name."""

from vjpkit.check.diagnosis.causes import CAUSES as CAUSES
from vjpkit.check.diagnosis.diagnose import diagnose as diagnose
from vjpkit.check.diagnosis.finding import Argument as Argument
from vjpkit.check.diagnosis.finding import Diagnosis as Diagnosis
from vjpkit.check.diagnosis.finding import Finding as Finding
