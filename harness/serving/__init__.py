"""All runs in one place: lists, comparisons, campaigns, suites, and runs under way.

1. What is shown was read from runs' folders, and is nobody's word for anything: verdicts are those that the runs had.
2. Nothing in a run's folder is trusted, and nothing outside of it is read.

`serve` serves the pages, `write_site` writes them as files, `compared` sets two runs beside each other. Begin reading
at `run_index`.
"""

from splitbrain.harness.serving.comparison import Comparison, compared
from splitbrain.harness.serving.run_index import RunIndex
from splitbrain.harness.serving.static_site import Site, write_site
from splitbrain.harness.serving.web_server import serve

__all__ = ["Comparison", "RunIndex", "Site", "compared", "serve", "write_site"]
