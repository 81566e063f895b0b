"""What the service gives back after a burst of runs."""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection

from agentflow.serve import memory


def test_streams_that_have_ended_are_let_go() -> None:
    client = H2Connection(H2Configuration(client_side=True))
    server = H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    names = {":method": "POST", ":path": "/", ":scheme": "http", ":authority": "here"}
    for stream in (1, 3):
        client.send_headers(stream, list(names.items()), end_stream=True)
        server.receive_data(client.data_to_send())
        server.send_headers(stream, [(":status", "200")], end_stream=stream == 3)
    assert set(server.streams) == {1, 3}
    memory.clear_away()
    assert set(server.streams) == {1}  # which has not ended
