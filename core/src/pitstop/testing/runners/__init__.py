"""`RunnerContract`: everything that a runner promises, as tests that an author of one subclasses."""

from pkgutil import iter_modules

import pytest

# before they are imported, so that a failed assertion shows its values, also where no plugin of ours is loaded
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from pitstop.testing.runners.suite import RunnerContract as RunnerContract  # noqa: E402

__all__ = ["RunnerContract"]
