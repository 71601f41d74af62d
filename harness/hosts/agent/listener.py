"""The far end of a probe: runs on a node, reports which packets reached it, and sends some itself.

1. Its only channel to the harness is its standard input and output. When the connection ends, it ends too, and nothing
   stays on the machine.
2. It answers no datagram: what arrives in one direction must not depend on the other.

It is sent over as text, so it imports nothing of splitbrain. One JSON object a line. It begins with {"port": P}. To
{"send": [[address, port, nonce], ...]} it answers {"heard": [nonce, ...]}: all that arrived since it was last asked.
"""

import contextlib
import json
import select
import socket
import sys


def serve(address: str) -> None:
    """Listen on that numeric address, on a port of the kernel's choice, until standard input ends."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    sock.setblocking(False)
    print(json.dumps({"port": sock.getsockname()[1]}), flush=True)
    heard: list[str] = []
    while True:
        ready, _, _ = select.select([sock, sys.stdin], [], [])
        if sock in ready:
            _drain(sock, heard)
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            for host, port, nonce in json.loads(line).get("send", ()):
                # The cut itself: a packet dropped on its way out is refused with EPERM.
                with contextlib.suppress(OSError):
                    sock.sendto(nonce.encode(), (host, port))
            _drain(sock, heard)
            print(json.dumps({"heard": heard}), flush=True)
            heard = []


def _drain(sock: socket.socket, heard: "list[str]") -> None:
    while True:
        try:
            heard.append(sock.recv(64).decode("ascii", "replace"))
        except BlockingIOError:
            return
        except OSError:
            # An ICMP answer to an earlier send; the socket itself is fine.
            continue


if __name__ == "__main__":
    serve(sys.argv[1])
