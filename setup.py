"""
Everything about the distribution is in setup.cfg, but how its core is compiled.

With ``P2PNET_COMPILE=1`` in the environment mypyc makes extension modules of the core, from the
same sources, which are installed beside them.  Without it nothing is compiled, and nothing that
compiles is needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from setuptools import Distribution, setup
from setuptools.command.build_ext import build_ext

IS_COMPILED: Final = os.environ.get("P2PNET_COMPILE", "0") == "1"

CORE: Final = ("serialization", "wire", "rudp")

BESIDE: Final = (
    "net/conditioner.py",
    "net/dispatch.py",
    "net/driver.py",
    "net/sharing.py",
    "net/sockets.py",
    "net/udp.py",
)
"""What else every datagram passes on its way between a socket and a listener."""

PLAIN: Final = {
    # Events name the connection that makes them, and so would have to be there before it.
    "rudp/events.py",
    # Options are copied and pickled, which a frozen dataclass cannot be once it is compiled.
    "rudp/config.py",
    # From these users derive, and a compiled class has no other below it.
    "serialization/serializable.py",
    "wire/layers.py",
    # The text that these put together, once for each packet class, runs as Python, and calls
    # between the two kinds of code cost more than is gained.
    "serialization/annotations.py",
    "serialization/fields.py",
    "serialization/kinds.py",
    "serialization/objects.py",
    "serialization/processor.py",
    "serialization/record.py",
    "serialization/sequences.py",
    "serialization/serializer.py",
    "serialization/source.py",
    "serialization/typehash.py",
    # Nearly all of their time is spent in struct, bytearray, ipaddress and dataclasses.
    "serialization/endpoints.py",
    "serialization/packing.py",
    "serialization/writer.py",
    "wire/nat.py",
    "wire/ntp.py",
}
"""What is better off as it is."""


def modules() -> list[str]:
    """
    The paths of what is compiled.
    """
    package = Path("p2pnet")
    core = [
        path
        for room in CORE
        for path in sorted((package / room).glob("*.py"))
        if path.name != "__init__.py" and path.relative_to(package).as_posix() not in PLAIN
    ]
    return [str(path) for path in (*core, *map(package.joinpath, BESIDE))]


TO_COMPILE: Final = ["mypy >= 2.4", "mypy-zope >= 1", "aioice", "twisted"]
"""mypyc, and the libraries whose types it has to see; setup.cfg says which of them we run with."""


class WithCore(Distribution):
    """
    A distribution that is of one platform if the core is compiled.
    """

    def has_ext_modules(self) -> bool:
        return IS_COMPILED


class BuildCore(build_ext):
    """
    Runs mypyc when extensions are built, and not whenever somebody asks for the metadata.
    """

    def finalize_options(self) -> None:
        # The frontend has installed it only if it was asked for.
        from mypyc.build import mypycify

        # The project's own settings: without the plugin for interfaces Twisted's make no sense.
        self.distribution.ext_modules = mypycify(
            ["--config-file=pyproject.toml", *modules()], group_name="p2pnet.core"
        )
        super().finalize_options()

    def run(self) -> None:
        # What is not compiled any more would still be found where it was built before.
        for stale in Path(self.build_lib, "p2pnet").rglob("*.so"):
            stale.unlink()
        super().run()


setup(
    distclass=WithCore,
    cmdclass={"build_ext": BuildCore} if IS_COMPILED else {},
    setup_requires=TO_COMPILE if IS_COMPILED else [],
)
