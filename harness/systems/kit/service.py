"""A service: a real program as a system under test, in about forty lines.

A subclass says what its nodes are made of, which program each runs, and how a client connects. The rest is here:
settings with their checks, configuration files as templates, readiness with a deadline.

    class Redis(Service):
        name = "redis"
        interfaces = frozenset({"Register"})
        settings = {"appendfsync": ("everysec", "always", "no")}
        made_of = NodeImage(debian=("redis-server",))
        port = 6379

        def program(self, environment, node):
            files = {"/etc/redis/node.conf": self.render(CONFIGURATION, environment, node)}
            return Program("redis", ("redis-server", "/etc/redis/node.conf"), files=files, data=DATA)

        def session(self, environment, node):
            return RedisSession(environment.machines[node].host)
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import jinja2

from splitbrain.harness.environment import Environment, Machine, Program
from splitbrain.harness.system import Connection, NodeImage
from splitbrain.harness.systems.kit.health import port_open
from splitbrain.harness.systems.readiness import until_ready

Setting = str | int | tuple[str, ...]
_TEMPLATES = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)


class Service:
    """A `system.System` whose nodes each run one program.

    name: as in `--system`. interfaces: of its connections, by name. settings: keys for `--config` with their defaults:
    a text, a whole number, or the choices, the first of which is the default. made_of: what its nodes are made of.
    port: where its program takes connections. start_s: how long a node may take to serve, in seconds. sizes: the least
    and the most nodes of a cluster. nodes: how many there are. seed: of the run.
    """

    name: str
    interfaces: frozenset[str] = frozenset()
    settings: ClassVar[Mapping[str, Setting]] = {}
    made_of: ClassVar[NodeImage] = NodeImage()
    port: ClassVar[int] = 0
    start_s: ClassVar[float] = 30.0
    sizes: ClassVar[tuple[int, int]] = (1, 100)

    def __init__(self) -> None:
        self.config: Mapping[str, str] = {key: _default(setting) for key, setting in self.settings.items()}
        self.nodes = 0
        self.seed = 0

    def program(self, environment: Environment, node: str) -> Program:
        """What runs on that node. Nodes may differ."""
        raise NotImplementedError(f"{self.name} has to say what a node runs: give it a method `program`")

    def session(self, environment: Environment, node: str) -> Connection:
        """A client's connection through that node; it connects when it is first used."""
        raise NotImplementedError(f"{self.name} has to say how clients connect: give it a method `session`")

    async def ready(self, environment: Environment, node: str) -> bool:
        """Whether the node serves: by default, whether its port takes a connection.

        A program that is paused seems ready so. `kit.answers` and `kit.answers_http` ask the program itself, and a test
        with the fault `pause` needs that.
        """
        return await port_open(environment.machines[node].host, self.port)

    def configure(self, config: Mapping[str, str], *, seed: int, nodes: int) -> Service:
        """The same service with these settings. Raises ValueError for a key or a value that there is not."""
        for key, value in config.items():
            if key not in self.settings:
                raise ValueError(f"{self.name} has no setting {key!r}; it has {', '.join(self.settings) or 'none'}")
            _check(key, value, self.settings[key])
        least, most = self.sizes
        if not least <= nodes <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise ValueError(f"{self.name} runs on {wanted} nodes, not on {nodes}; give --nodes {least}")
        changed = copy.copy(self)
        changed.config = {**self.config, **config}
        changed.seed, changed.nodes = seed, nodes
        return changed

    def number(self, key: str) -> int:
        """The value of a setting that is a whole number."""
        return int(self.config[key])

    def render(self, template: str, environment: Environment, node: str, **more: Any) -> bytes:
        """A configuration file. template: in Jinja2's notation.

        It may name `node` and `host` (this one's), `nodes` (of all, each with `name`, `host`, `number` from 1 on),
        `others`, `port`, every setting, and what is in `more`.
        """
        machines = environment.machines.items()
        nodes = [{"name": name, "host": each.host, "number": at} for at, (name, each) in enumerate(machines, 1)]
        values = {
            **{key.replace("-", "_"): value for key, value in self.config.items()},
            "node": node,
            "host": environment.machines[node].host,
            "number": next(each["number"] for each in nodes if each["name"] == node),
            "nodes": nodes,
            "others": [each for each in nodes if each["name"] != node],
            "port": self.port,
            **more,
        }
        return _TEMPLATES.from_string(template).render(values).encode()

    async def start(self, environment: Environment, machine: Machine) -> None:
        await machine.start(self.program(environment, machine.name))
        await until_ready(self.ready, environment, machine, self.start_s)

    async def connect(self, environment: Environment, node: str) -> Connection:
        return self.session(environment, node)

    def image(self) -> NodeImage:
        return self.made_of

    def describe(self) -> Mapping[str, Any]:
        return dict(self.config)


def _default(setting: Setting) -> str:
    return setting[0] if isinstance(setting, tuple) else str(setting)


def _check(key: str, value: str, setting: Setting) -> None:
    if isinstance(setting, tuple) and value not in setting:
        raise ValueError(f"{key}={value}: give one of {', '.join(setting)}")
    if isinstance(setting, int):
        try:
            int(value)
        except ValueError:
            raise ValueError(f"{key}={value}: give a whole number") from None
