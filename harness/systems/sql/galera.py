"""MariaDB Galera Cluster: every node takes writes, and certifies those of the others.

1. The first node founds the cluster when it is started for the first time; the others join, and copy what it has.
2. A node that was killed finds out which transaction it had last, as the service's own start does, and joins again.
   After all were killed, the cluster is there again once all members of its last view are, by Galera's own recovery of
   the primary component.
3. Reads are of the node's own state. With `wsrep-sync-wait` they wait until it has applied what was certified before.

Sources: Galera's documentation (recovering the primary component, restarting the cluster); Jepsen's analysis of
MariaDB Galera Cluster 12.1.2 (2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from splitbrain.harness.environment import Environment, Program
from splitbrain.harness.system import NodeImage
from splitbrain.harness.systems.kit import Setting
from splitbrain.harness.systems.sql.mariadb import (
    CONFIGURATION,
    CONFIGURATION_FILE,
    DATA,
    INSTALL,
    Mariadb,
    MariadbSession,
    asked,
)

_CLUSTER = """\
binlog_format = ROW
innodb_autoinc_lock_mode = 2
wsrep_on = ON
wsrep_provider = /usr/lib/galera/libgalera_smm.so
wsrep_provider_options = "gcache.size=32M"
wsrep_cluster_name = splitbrain
wsrep_cluster_address = gcomm://{{ nodes | map(attribute="host") | join(",") }}
wsrep_node_name = {{ node }}
wsrep_node_address = {{ host }}
wsrep_sst_method = rsync
"""
_SERVER = f"mariadbd --defaults-file={CONFIGURATION_FILE}"
_JOIN = f"""\
position=
if [ -f {DATA}/grastate.dat ]; then
    position=$({_SERVER} --wsrep-recover 2>&1 | sed -n 's/.*Recovered position: *//p' | tail -n 1)
    found=
fi
exec {_SERVER} $found ${{position:+--wsrep_start_position=$position}}
"""


class Galera(Mariadb):
    """A cluster of servers."""

    name = "galera"
    settings: ClassVar[Mapping[str, Setting]] = {**Mariadb.settings, "wsrep-sync-wait": 0}
    made_of = NodeImage(debian=("mariadb-server", "galera-4", "rsync"))
    sizes = (3, 9)
    # A node that can't catch up copies all of another's data first.
    start_s = 90.0

    def program(self, environment: Environment, node: str) -> Program:
        founds = "--wsrep-new-cluster" if node == next(iter(environment.machines)) else ""
        script = f"{INSTALL}found={founds}\n{_JOIN}"
        files = {CONFIGURATION_FILE: self.render(CONFIGURATION + _CLUSTER, environment, node)}
        return Program("mariadbd", ("sh", "-c", script), files=files, data=DATA, user="mysql", preload=False)

    def session(self, environment: Environment, node: str) -> MariadbSession:
        variables = {"wsrep_sync_wait": str(self.number("wsrep-sync-wait"))}
        return MariadbSession(environment.machines[node].host, self.config["isolation"], variables)

    async def ready(self, environment: Environment, node: str) -> bool:
        found = await asked(environment.machines[node].host, "SHOW STATUS LIKE 'wsrep_ready'")
        return bool(found) and found is not None and found[0][1] == "ON"


SYSTEM = Galera()
