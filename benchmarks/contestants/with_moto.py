"""moto's server, in memory; it runs until it is told to end, and prints where it listens."""

import signal
import sys
from importlib.metadata import version

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
sys.stdout.write(f"http://{host}:{port} {version('moto')}\n")
sys.stdout.flush()
signal.sigwait({signal.SIGTERM, signal.SIGINT})
server.stop()
