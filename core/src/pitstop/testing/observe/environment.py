"""The environment as it was when pytest began, before any module of the author's could change it."""

from __future__ import annotations

import os

#: The pytest plugin imports this first of all; without the plugin it is as it was when a suite was first asked for.
INITIAL = dict(os.environ)
