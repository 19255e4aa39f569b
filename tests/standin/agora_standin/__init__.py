"""What stands behind the stand-in for Agora's SDK: a cloud of channels in this process.

It knows neither the SDK's classes nor the tests, so that a child process can have it too.
"""

import os

from .cloud import Cloud
from .people import Script
from .plan import Plan
from .report import report_at_the_end

CLOUD = Cloud(Plan.from_environment(os.environ))
"""The one that `agora.rtc` uses, as a native library is one per process."""

if CLOUD.plan.report:
    report_at_the_end(CLOUD)
if CLOUD.plan.people or CLOUD.plan.events:
    Script(CLOUD).wait_for_the_agent()

__all__ = ["CLOUD", "Cloud", "Plan"]
