"""The fraud guard: text pumping is stopped, and honest people are not.

`guard` decides, `book` keeps the evidence, `policy` is what a workspace wants; docs/fraud.md
explains it to operators, and bench/pumping measures it.
"""

from engine.fraud.blocks import Verdict
from engine.fraud.figures import Figures
from engine.fraud.guard import PAID_PHONE_CHANNELS, FraudGuard
from engine.fraud.policy import GuardPolicy

__all__ = ["PAID_PHONE_CHANNELS", "Figures", "FraudGuard", "GuardPolicy", "Verdict"]
