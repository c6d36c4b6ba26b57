"""A client of hyper-h2. driver.go says how it is told what to do.

The HTTP/1.1 of it is its own: h2 has none.
"""

import base64
import hashlib
import json
import socket
import sys
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated, DataReceived, InformationalResponseReceived, ResponseReceived,
    StreamEnded, StreamReset, TrailersReceived,
)
from h2.exceptions import ProtocolError

KEPT = 64 << 10  # octets of a body
TIMEOUT = 30  # seconds


def tell(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def multimap(fields):
    fields_by_name = {}
    for name, value in fields:
        if not name.startswith(":"):
            fields_by_name.setdefault(name, []).append(value)
    return fields_by_name


class Broken(Exception):
    """The connection cannot be used."""


class Exchange:
    """A request, and what came of it."""

    def __init__(self, n, request):
        self.n = n
        self.method = request["method"]
        self.fields = [(name, v) for name, values in request["header"].items() for v in values]
        url = urlsplit(request["url"])
        self.host, self.port, self.authority = url.hostname, url.port, url.netloc
        self.target = url.path or "/"
        if url.query:
            self.target += "?" + url.query
        self.target = request["target"] or self.target
        self.body = base64.b64decode(request["body"] or "")
        self.sized, self.expect = not request["noSize"], request["expect"]
        self.http1, self.cancel, self.parts = request["http1"], request["cancel"], request["parts"]

        self.stream = None
        self.sent = 0  # octets of the body
        self.proto, self.status, self.interim = "", 0, []
        self.header, self.switch, self.early, self.trailer = {}, {}, {}, {}
        self.size, self.kept, self.digest = 0, b"", hashlib.sha256()
        self.ended = False

    def head(self, proto, status, fields):
        if status < 200:
            self.interim.append(status)
            if status == 101:
                self.switch = multimap(fields)
            if status == 103:
                self.early = multimap(fields)
            return
        self.proto, self.status, self.header = proto, status, multimap(fields)

    def data(self, part):
        """Takes a part of the body. It returns True if that is all that was wanted."""
        first = self.size == 0
        self.size += len(part)
        self.kept += part[:KEPT - len(self.kept)]
        self.digest.update(part)
        if part and self.parts:
            tell({"n": self.n, "data": base64.b64encode(part).decode()})
            if first and self.cancel:
                sys.stdin.readline()
                return True
        return False

    def end(self, error=""):
        if self.ended:
            return
        self.ended = True
        tell({
            "n": self.n, "proto": self.proto, "status": self.status, "interim": self.interim,
            "header": self.header, "switch": self.switch, "trailer": self.trailer, "early": self.early,
            "size": self.size, "sha256": self.digest.hexdigest(),
            "body": base64.b64encode(self.kept).decode(), "err": error,
        })


class Connection:
    def __init__(self, host, port):
        self.sock = socket.create_connection((host, port), timeout=TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.came = b""  # and was not used yet
        self.h2 = None
        self.over = False  # for new requests

    # HTTP/1.1

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Broken("the server closed the connection")
        self.came += data

    def take(self, n):
        while not self.came:
            self.more()
        part, self.came = self.came[:n], self.came[n:]
        return part

    def line(self):
        while b"\r\n" not in self.came:
            self.more()
        line, _, self.came = self.came.partition(b"\r\n")
        return line.decode()

    def fields(self):
        fields = []
        while True:
            line = self.line()
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))

    def answer(self, x):
        """Reads the head of an answer, and returns its status."""
        version, status, *_ = self.line().split(" ", 2)
        x.head(version, int(status), self.fields())
        return int(status)

    def request(self, x, offer):
        """Sends a request over HTTP/1.1. Then x has ended, unless an offer was accepted."""
        lines = ["%s %s HTTP/1.1" % (x.method, x.target), "Host: " + x.authority]
        lines += ["%s: %s" % field for field in x.fields]
        if offer:
            h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
            settings = h2.initiate_upgrade_connection().decode()
            lines += ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: " + settings]
        if x.body:
            lines.append("Content-Length: %d" % len(x.body) if x.sized else "Transfer-Encoding: chunked")
        if x.expect:
            lines.append("Expect: 100-continue")
        self.sock.sendall("\r\n".join(lines + ["", ""]).encode())

        status = 0
        if x.expect:
            status = self.answer(x)
            while status < 200 and status != 100:
                status = self.answer(x)
        if status < 200:
            self.sock.sendall(x.body if x.sized else chunked(x.body))
            status = self.answer(x)
            while status < 200 and not (status == 101 and offer):
                status = self.answer(x)
        else:
            self.over = True  # the body is still due
        if status == 101:
            self.h2 = h2
            x.stream, x.sent = 1, len(x.body)
            # Of a HEAD that it has not sent itself, h2 would expect a body.
            h2.streams[1].request_method = x.method.encode()
            self.flush()
            return
        self.response_body(x)
        x.end()

    def response_body(self, x):
        header = {name.lower(): values[-1].lower() for name, values in x.header.items()}
        if header.get("connection") == "close":
            self.over = True
        if x.method == "HEAD" or x.status in (204, 304):
            return
        if header.get("transfer-encoding") == "chunked":
            while True:
                left = int(self.line(), 16)
                if left == 0:
                    x.trailer = multimap(self.fields())
                    return
                self.copy(x, left)
                self.line()
        elif "content-length" in header:
            self.copy(x, int(header["content-length"]))
        else:
            raise Broken("a body that only the end of the connection ends")

    def copy(self, x, n):
        while n > 0:
            part = self.take(n)
            n -= len(part)
            if x.data(part):
                raise Broken("cancelled")

    # HTTP/2

    def prior_knowledge(self):
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def perform(self, exchanges):
        """Sends the requests that have no stream yet at once, and waits until all have ended."""
        waiting = [x for x in exchanges if x.stream is None]
        while not all(x.ended for x in exchanges):
            most = self.h2.remote_settings.max_concurrent_streams
            while waiting and self.h2.open_outbound_streams < most:
                self.begin(waiting.pop(0))
            for x in exchanges:
                if x.stream is not None and not x.ended:
                    self.feed(x)
            self.flush()
            if not self.came:
                self.more()
            data, self.came = self.came, b""
            by_stream = {x.stream: x for x in exchanges}
            for event in self.h2.receive_data(data):
                if isinstance(event, ConnectionTerminated):
                    self.over = True
                    if event.error_code != ErrorCodes.NO_ERROR:
                        raise Broken("the server gave the connection up: %r" % event)
                elif getattr(event, "stream_id", None) in by_stream:
                    self.event(by_stream[event.stream_id], event)

    def begin(self, x):
        x.stream = self.h2.get_next_available_stream_id()
        fields = [(":method", x.method), (":scheme", "http"), (":authority", x.authority), (":path", x.target)]
        fields += [(name.lower(), value) for name, value in x.fields]
        if x.body and x.sized:
            fields.append(("content-length", str(len(x.body))))
        if x.expect:
            fields.append(("expect", "100-continue"))
        self.h2.send_headers(x.stream, fields, end_stream=not x.body)

    def feed(self, x):
        """Sends as much of the body as the window of the server lets it."""
        if x.expect and 100 not in x.interim:
            return
        while x.sent < len(x.body):
            room = min(self.h2.local_flow_control_window(x.stream), self.h2.max_outbound_frame_size)
            if room == 0:
                return
            part = x.body[x.sent:x.sent + room]
            x.sent += len(part)
            self.h2.send_data(x.stream, part, end_stream=x.sent == len(x.body))

    def event(self, x, event):
        if isinstance(event, (InformationalResponseReceived, ResponseReceived)):
            x.head("HTTP/2.0", int(dict(event.headers)[":status"]), event.headers)
        elif isinstance(event, DataReceived) and not x.ended:
            if x.data(event.data):
                self.h2.reset_stream(x.stream, ErrorCodes.CANCEL)
                x.end("cancelled")
            elif not self.over:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            x.trailer = multimap(event.headers)
        elif isinstance(event, StreamEnded):
            x.end()
        elif isinstance(event, StreamReset):
            x.end("the server reset the stream: %r" % event)

    def close(self):
        """Says that nothing more will come, and hears the server out."""
        try:
            if self.h2 and not self.over:
                self.h2.close_connection()
                self.flush()
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.sock.close()


def chunked(body, size=16000):
    chunks = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks + [b""])


def main():
    job = json.loads(sys.stdin.readline())
    pending = [Exchange(n, request) for n, request in enumerate(job["requests"])]
    conn = None
    while pending:
        x = pending.pop(0)
        batch = [x]
        try:
            if conn is None:
                conn = Connection(x.host, x.port)
                if job["entry"] == "prior knowledge":
                    conn.prior_knowledge()
            if conn.h2 is None:
                conn.request(x, offer=not x.http1)
            if conn.h2 is not None:
                if job["atOnce"]:
                    batch += pending
                    pending = []
                conn.perform(batch)
        except (Broken, OSError, ProtocolError) as e:
            for x in batch:
                x.end("%s: %s" % (type(e).__name__, e))
            if conn is not None:
                conn.over = True
        if conn is not None and conn.over:
            conn.close()
            conn = None
    if conn is not None:
        conn.close()


main()
