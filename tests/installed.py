"""Example packages as if they were installed: by the metadata that their pyproject.toml stands for."""

from __future__ import annotations

import tomllib
from pathlib import Path


def install(package: Path, site: Path) -> list[Path]:
    """Write the metadata of the package in that folder below `site`. Returns what PYTHONPATH must have for both."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    metadata = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    version = project["version"]
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in each.items()) for group, each in groups]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return [site, package]
