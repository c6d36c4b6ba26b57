"""The client of hyper-h2: client.py UPGRADE|PRIOR HOST PORT PATH...

It sends a GET for each path, over one connection. The first one upgrades the connection, or
the connection begins by prior knowledge. Then the others go out at once. For each response
it prints a JSON object: stream, status, body. Any error ends it with a traceback.
"""

import json
import socket
import sys

import h2.config
import h2.connection
import h2.events


def read_head(sock):
    """Returns the head of an HTTP/1.1 response, and what came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise SystemExit("closed after %r" % data)
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def main():
    mode, host, port, paths = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    authority = "%s:%d" % (host, port)
    sock = socket.create_connection((host, port), timeout=60)
    conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    rest = b""
    streams = []
    if mode == "UPGRADE":
        settings = conn.initiate_upgrade_connection()
        sock.sendall(
            b"GET " + paths.pop(0).encode() + b" HTTP/1.1\r\n"
            b"Host: " + authority.encode() + b"\r\n"
            b"Connection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\n"
            b"HTTP2-Settings: " + settings + b"\r\n\r\n"
        )
        head, rest = read_head(sock)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise SystemExit("no upgrade: %r" % head)
        streams.append(1)
    else:
        conn.initiate_connection()

    for path in paths:
        stream = conn.get_next_available_stream_id()
        conn.send_headers(stream, [
            (":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", path),
        ], end_stream=True)
        streams.append(stream)
    sock.sendall(conn.data_to_send())

    status, body, ended = {}, {}, set()
    while len(ended) < len(streams):
        data = rest or sock.recv(65536)
        rest = b""
        if not data:
            raise SystemExit("closed before streams %r ended" % sorted(set(streams) - ended))
        for event in conn.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                status[event.stream_id] = dict(event.headers)[":status"]
            elif isinstance(event, h2.events.DataReceived):
                body[event.stream_id] = body.get(event.stream_id, b"") + event.data
                conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                ended.add(event.stream_id)
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                raise SystemExit("%r" % event)
        sock.sendall(conn.data_to_send())
    for stream in streams:
        print(json.dumps({
            "stream": stream,
            "status": status[stream],
            "body": body.get(stream, b"").decode(),
        }))
    conn.close_connection()
    sock.sendall(conn.data_to_send())
    sock.close()


main()
