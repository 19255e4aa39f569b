"""How many examples Hypothesis tries: HYPOTHESIS_PROFILE=prove tries many."""

import os

from hypothesis import HealthCheck, settings

# A machine that is busy is no fault of the code's, so nothing here is timed.
_UNTIMED = [HealthCheck.too_slow]

settings.register_profile("default", max_examples=20, deadline=None, suppress_health_check=_UNTIMED)
settings.register_profile("prove", max_examples=1000, deadline=None, suppress_health_check=_UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
