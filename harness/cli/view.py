"""``harness view``: a local page to look at runs, versions and trainings, and to work on cases and pairs."""

from __future__ import annotations

import argparse
import secrets
import socket
import webbrowser
from typing import Any

from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, hint, project_settings
from harness.errors import UsageError
from harness.language import tr

__all__ = ["add_parser", "run"]

_HOST = "127.0.0.1"
_PORT = 8790


def add_parser(subparsers: Any) -> None:
    """``harness view [--port N] [--open]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "view",
        help="a local page to look at runs, cases, pairs and versions, and to work on them",
        **examples("harness view", "harness view --port 9000 --open"),
    )
    parser.add_argument("--port", type=int, default=None, metavar="N", help=f"port; default: {_PORT}, or a free one")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until it is interrupted."""
    import uvicorn

    from harness.view.app import create_app

    settings = project_settings()
    with _listen(args.port) as listener:
        port = listener.getsockname()[1]
        token = secrets.token_urlsafe(24)
        address = f"http://{_HOST}:{port}/?token={token}"
        if args.json:
            echo_json({"address": address, "port": port})
        else:
            echo(address)
            hint(tr("The address is the key: whoever has it can read and edit this project. Ctrl-C ends the page."))
        app = create_app(settings, token=token, port=port, warm=True)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False,
            lifespan="off", timeout_graceful_shutdown=2,
        )  # fmt: skip
        if args.open:
            webbrowser.open(address)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _listen(port: int | None) -> socket.socket:
    """A socket on the loopback interface; held from here on, so no other program can take the port.

    Raises:
        UsageError: the port that was asked for is taken.
    """
    for wanted in (port,) if port is not None else (_PORT, 0):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, wanted))
            # From here on a browser waits instead of being turned away.
            listener.listen(64)
        except (OSError, OverflowError) as error:
            listener.close()
            if port is not None:
                raise UsageError(f"--port {port}: {error}; take another one") from error
        else:
            return listener
    raise UsageError("no free port on the loopback interface")
