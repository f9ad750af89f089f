"""loguru's logger, with Pitstop's own lines disabled until `enable`, as loguru asks of a library.

Importing loguru takes 50 to 80 ms, so this module is imported inside functions, where a job runs.
"""

from loguru import logger as logger

logger.disable("pitstop")
