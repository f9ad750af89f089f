"""Conformance suites: what every worker, operation, job store and runner promises, as tests to subclass."""

import pytest

# before they are imported, so that a failed assertion shows its values, also where no plugin of ours is loaded
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ("base", "job_store", "runner", "worker")))
