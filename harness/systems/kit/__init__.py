"""The kit for systems of one's own: what every real service needs, so that one takes about forty lines.

`service` is the system, `session` its connections, `failures` the table from exceptions to outcomes, `health` how to
tell that a node serves, `blocking` a driver that blocks.
"""

from splitbrain.harness.systems.kit.failures import Failure
from splitbrain.harness.systems.kit.health import answers, answers_http, port_open
from splitbrain.harness.systems.kit.service import Service, Setting
from splitbrain.harness.systems.kit.session import Session

__all__ = ["Failure", "Service", "Session", "Setting", "answers", "answers_http", "port_open"]
