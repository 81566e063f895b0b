"""What `agentflow serve` does once graphs are compiled, for modules written by hand.

launch.py DATA ROOT BUILT,BUILT... PORT INGRESS ADMIN NODE [RESTATE_URL]
"""

from __future__ import annotations

import sys
from pathlib import Path

from agentflow.serve import binary, supervise
from agentflow.serve.errors import ServeError
from agentflow.serve.lock import Lock
from agentflow.serve.revisions import Store


def main() -> int:
    data, root = map(Path, sys.argv[1:3])
    folders = map(Path, sys.argv[3].split(","))
    ports = [int(port) for port in sys.argv[4:8]]
    restate = sys.argv[8] if len(sys.argv) > 8 else None
    try:
        lock = Lock(data)
        supervise.take_over(lock)
        store = Store(data)
        revisions = [store.add(next(built.glob("*.py")), built / "manifest.json", root, None) for built in folders]
        server = None if restate else binary.find(supervise.say)
        settings = supervise.Settings(
            data, server, restate, port=ports[0], ingress_port=ports[1], admin_port=ports[2], node_port=ports[3]
        )
        supervise.serve(settings, lock, revisions)
    except ServeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
