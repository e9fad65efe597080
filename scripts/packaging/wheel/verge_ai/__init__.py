"""Verge from Python: the command `verge`, and `serve()`, which runs a server for the length of a `with` block."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Mapping, Sequence

__all__ = ["Server", "VergeError", "program", "serve"]


class VergeError(RuntimeError):
    """What a server answered instead of a result, or why there is no server."""


def program() -> str:
    """Path of the program `verge` that this package brings."""
    return str(Path(__file__).parent / "program" / "bin" / "verge")


def main() -> None:
    """The command `verge`: becomes the program."""
    os.execv(program(), ["verge", *sys.argv[1:]])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A running `verge serve`. Ends with `close()` or its `with` block; a data folder made for it goes with it."""

    def __init__(self, arguments: Sequence[str], data: str | os.PathLike[str] | None, env: Mapping[str, str] | None, timeout: float) -> None:
        self._own_folder = tempfile.mkdtemp(prefix="verge-")
        self._log = open(os.path.join(self._own_folder, "log"), "w+", encoding="utf-8")
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        """Address of the server, without a path."""
        folder = str(data) if data is not None else os.path.join(self._own_folder, "data")
        command = [program(), "serve", "--listen", f"127.0.0.1:{port}", "--data", folder, "--drain-delay", "0", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
                                         env={**os.environ, **(env or {})})
        try:
            self._wait(time.monotonic() + timeout)
        except BaseException:
            self.close()
            raise

    @property
    def openai_url(self) -> str:
        """`base_url` of OpenAI's SDK."""
        return self.url + "/v1"

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        self._log.flush()
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    def _wait(self, until: float) -> None:
        while True:
            if self._process.poll() is not None:
                raise VergeError(f"verge serve ended with {self._process.returncode}:\n{self.log}")
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5):
                    return
            except (OSError, urllib.error.URLError):
                if time.monotonic() > until:
                    raise VergeError(f"verge serve did not start in time:\n{self.log}") from None
                time.sleep(0.05)

    def run(self, model: str, inputs: Mapping[str, Any] | bytes, *, account: str = "local") -> Any:
        """`env.AI.run(model, inputs)`: the result. `inputs` may be the bytes of a picture or a clip. Raises VergeError."""
        binary = isinstance(inputs, bytes)
        body = inputs if isinstance(inputs, bytes) else json.dumps(dict(inputs)).encode()
        headers = {"content-type": "application/octet-stream" if binary else "application/json"}
        request = urllib.request.Request(f"{self.url}/client/v4/accounts/{account}/ai/run/{model}", body, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                content = answer.read()
                if "json" not in answer.headers.get("content-type", ""):
                    return content
                return json.loads(content)["result"]
        except urllib.error.HTTPError as error:
            raise VergeError(f"{error.code}: {error.read().decode(errors='replace')}") from None

    def close(self) -> None:
        """Ends the server: running requests get its --drain seconds. Safe to call twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._own_folder, ignore_errors=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(
    *,
    models: Mapping[str, str | os.PathLike[str]] | None = None,
    stand_ins: bool = False,
    data: str | os.PathLike[str] | None = None,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Server:
    """Starts a server on a free port of loopback, and returns once it takes requests.

    models: id -> model file or folder, served under that id.
    stand_ins: ids whose weights are not here are answered by the small model of their task.
    data: the server's data folder; without one it gets one that goes with it.
    options: more options of `verge serve`.
    env: more environment, as {"VERGE_MODELS": "…"}.
    timeout: seconds until it must be ready.

    Raises VergeError, with the log, where it does not start.
    """
    arguments = [f"--model={name}={os.fspath(path)}" for name, path in (models or {}).items()]
    if stand_ins:
        arguments.append("--stand-ins")
    return Server([*arguments, *options], data, env, timeout)
