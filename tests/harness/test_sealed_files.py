"""Sealed files: nothing outside the root is opened, whichever way it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from splitbrain.harness.sealed_files import NoSuchFile, opened


@pytest.fixture
def root(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "file").write_text("inside")
    return tmp_path / "root"


def test_a_file_below_the_root_is_opened(root):
    with opened(root, "a/b/file") as file:
        assert file.read() == b"inside"


def test_the_root_may_be_a_link_itself(root, tmp_path):
    (tmp_path / "latest").symlink_to(root)
    with opened(tmp_path / "latest", "a/b/file") as file:
        assert file.read() == b"inside"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../secret", "a/../../secret", "a/b/../b/file", "/etc/passwd", "a//b/file", "a/b/file/", "./a/b/file",
     "a/b", "a/b/file\0", "nothing", "a/nothing/file", "\udcff"],
)  # fmt: skip
def test_a_name_that_is_no_plain_path_to_a_file_is_none(root, name):
    with pytest.raises(NoSuchFile):
        opened(root, name)


def test_no_link_is_followed_on_the_way_nor_at_its_end(root, tmp_path):
    (root / "out").symlink_to(tmp_path)
    (root / "a" / "out").symlink_to(tmp_path / "secret")
    (root / "a" / "in").symlink_to(root / "a" / "b" / "file")
    for name in ("out/secret", "a/out", "a/in"):
        with pytest.raises(NoSuchFile):
            opened(root, name)


def test_a_pipe_is_no_file_and_does_not_block(root):
    os.mkfifo(root / "pipe")
    with pytest.raises(NoSuchFile):
        opened(root, "pipe")


def test_no_descriptor_is_left_open(root):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("a/b/file", "a/b/nothing", "a/b", "../secret"):
        try:
            opened(root, name).close()
        except NoSuchFile:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before
