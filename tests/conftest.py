"""
Hypothesis settings.  HYPOTHESIS_PROFILE chooses one; a failure prints how to repeat it.
"""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: a busy machine is not a bug.
settings.register_profile("default", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("default"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
