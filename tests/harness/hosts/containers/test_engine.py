from __future__ import annotations

import hashlib
import json
import socket
import threading
from pathlib import Path

import pytest
from docker.errors import APIError, BuildError, DockerException, ImageNotFound

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.containers.engine import connect, refusals


def told(error: Exception) -> str:
    with pytest.raises(EnvironmentFailure) as caught, refusals("try it"):
        raise error
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_engine_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/missing.sock")
    with pytest.raises(EnvironmentFailure) as caught:
        connect()
    message = str(caught.value)
    assert "\n" not in message
    assert "none is running" in message
    assert "systemctl start docker" in message


@pytest.mark.parametrize("chosen_by", ["DOCKER_CONTEXT", "config.json"])
def test_the_engine_of_the_active_context_was_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen_by: str
) -> None:
    # As `docker context create elsewhere` and `docker context use elsewhere` leave it.
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"elsewhere").hexdigest()
    meta.mkdir(parents=True)
    engine = {"Host": f"unix://{tmp_path}/engine.sock", "SkipTLSVerify": False}
    context = {"Name": "elsewhere", "Metadata": {}, "Endpoints": {"docker": engine}}
    (meta / "meta.json").write_text(json.dumps(context))
    (tmp_path / "config.json").write_text(
        json.dumps({"currentContext": "elsewhere"} if chosen_by == "config.json" else {})
    )
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    if chosen_by == "DOCKER_CONTEXT":
        monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "engine.sock"))
        listener.listen()
        thread = threading.Thread(target=_refuse_once, args=(listener, asked))
        thread.start()
        with pytest.raises(EnvironmentFailure):
            connect(timeout_s=30)
        # Had it asked another engine, the thread would still wait.
        with socket.socket(socket.AF_UNIX) as own:
            own.connect(str(tmp_path / "engine.sock"))
        thread.join()
    assert asked[0].startswith(b"GET /version ")


def _refuse_once(listener: socket.socket, asked: list[bytes]) -> None:
    connection, _ = listener.accept()
    with connection:
        asked.append(connection.recv(100))


def test_no_permission_says_how_to_get_it() -> None:
    error = DockerException(
        "Error while fetching server API version: ('Connection aborted.', PermissionError(13, 'Permission denied'))"
    )
    assert "group `docker`" in told(error)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("could not find an available, non-overlapping IPv4 address pool", "splitbrain clean"),
        ("Bind for 0.0.0.0:22 failed: port is already allocated", "stop what listens there"),
        ("write /var/lib/docker/x: no space left on device", "docker system prune"),
        ("something new", "the engine refused: something new"),
    ],
)
def test_a_refusal_of_the_engine_is_one_line_with_the_remedy(said: str, remedy: str) -> None:
    assert remedy in told(APIError("500", explanation=said))


def test_a_missing_image_says_how_to_make_it() -> None:
    assert "make image" in told(ImageNotFound("404", explanation="No such image: x"))


def test_a_failed_build_is_not_taken_for_a_missing_engine() -> None:
    assert "a step of the build failed: apt-get failed" in told(BuildError("apt-get\nfailed", iter(())))
