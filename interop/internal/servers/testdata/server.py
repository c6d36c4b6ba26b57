"""A server of hyper-h2; native.go says what it serves. Arguments: port, directory of the files.

The HTTP/1.1 of it is its own: h2 has none.
"""

import asyncio
import pathlib
import sys

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived, RemoteSettingsChanged, RequestReceived, StreamEnded, StreamReset, WindowUpdated,
)
from h2.exceptions import ProtocolError

EVENTS = 3
PREFACE_LINE = b"PRI * HTTP/2.0\r\n\r\n"

port, www = int(sys.argv[1]), pathlib.Path(sys.argv[2])
gates = {}


def gate(name):
    return gates.setdefault(name, asyncio.Semaphore(0))


async def pass_gate(name):
    try:
        await gate(name).acquire()
    except asyncio.CancelledError:
        print("cancelled", name, flush=True)
        raise


async def handle(exchange, method, target, body):
    """Answers a request by way of an HTTP1 or a Stream."""
    path, _, name = target.partition("?")
    kind, _, size = path[1:].partition("/")
    if path == "/open":
        gate(name).release()
        await exchange.respond(200, b"")
        return
    print("handled", method, target, flush=True)
    if kind == "echo":
        await exchange.respond(200, body)
    elif kind == "bytes":
        content = (www / "bytes" / size).read_bytes()
        await exchange.respond(200, content, head=method == "HEAD")
    elif kind == "trailers":
        exchange.headers(200, [])
        await exchange.data(b"hello\n")
        exchange.end([("x-check", "done")])
    elif kind == "early":
        exchange.headers(103, [("link", "</style.css>; rel=preload")])
        await exchange.respond(200, b"hello\n")
    elif kind == "gate":
        content = (www / "bytes" / size).read_bytes()
        exchange.headers(200, [("content-length", str(len(content)))])
        await exchange.data(content[:len(content) // 2])
        await pass_gate(name)
        await exchange.data(content[len(content) // 2:])
        exchange.end()
    elif kind == "events":
        exchange.headers(200, [("content-type", "text/event-stream")])
        for i in range(EVENTS):
            await exchange.data(b"data: %d\n\n" % (i + 1))
            await pass_gate(name)
        exchange.end()
    else:
        await exchange.respond(404, b"")


class HTTP1:
    """A response in HTTP/1.1, of known length."""

    def __init__(self, writer):
        self.writer = writer

    async def respond(self, status, content, head=False):
        self.writer.write(b"HTTP/1.1 %d \r\nContent-Length: %d\r\n\r\n" % (status, len(content)))
        if not head:
            self.writer.write(content)
        await self.writer.drain()


class Stream:
    """A response on a stream."""

    def __init__(self, connection, id):
        self.connection, self.id = connection, id
        self.h2 = connection.h2
        self.window = asyncio.Event()
        self.request, self.body, self.task = None, bytearray(), None

    def start(self):
        method, target = self.request
        self.task = asyncio.ensure_future(handle(self, method, target, bytes(self.body)))

    def headers(self, status, fields, end=False):
        self.h2.send_headers(self.id, [(":status", str(status))] + fields, end_stream=end)
        self.connection.flush()

    async def data(self, content):
        while content:
            room = min(self.h2.local_flow_control_window(self.id), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.window.clear()
                await self.window.wait()
                continue
            self.h2.send_data(self.id, bytes(content[:room]))
            content = memoryview(content)[room:]
            self.connection.flush()
            await self.connection.writer.drain()

    def end(self, trailers=None):
        if trailers:
            self.h2.send_headers(self.id, trailers, end_stream=True)
        else:
            self.h2.end_stream(self.id)
        self.connection.flush()

    async def respond(self, status, content, head=False):
        self.headers(status, [("content-length", str(len(content)))], end=head)
        if not head:
            await self.data(content)
            self.end()


class HTTP2:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="ascii"))
        self.streams = {}

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    async def run(self, received):
        self.flush()
        try:
            while True:
                if received:
                    self.receive(received)
                received = await self.reader.read(1 << 16)
                if not received:
                    return
        except ProtocolError as err:
            self.flush()
            print(repr(err), flush=True)
        finally:
            for stream in self.streams.values():
                if stream.task:
                    stream.task.cancel()

    def upgrade(self, settings, request, body):
        self.h2.initiate_upgrade_connection(settings)
        stream = self.streams[1] = Stream(self, 1)
        stream.request, stream.body = request, body
        stream.start()

    def receive(self, received):
        for event in self.h2.receive_data(received):
            if isinstance(event, RequestReceived):
                fields = dict(event.headers)
                stream = self.streams[event.stream_id] = Stream(self, event.stream_id)
                stream.request = fields[":method"], fields[":path"]
                if fields.get("expect") == "100-continue":
                    stream.headers(100, [])
            elif isinstance(event, DataReceived):
                self.streams[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.streams[event.stream_id].start()
            elif isinstance(event, StreamReset):
                stream = self.streams[event.stream_id]
                if stream.task:
                    stream.task.cancel()
            elif isinstance(event, (WindowUpdated, RemoteSettingsChanged)):
                for stream in self.streams.values():
                    stream.window.set()
        self.flush()


async def read_body(reader, writer, fields):
    if fields.get("expect") == "100-continue":
        writer.write(b"HTTP/1.1 100 \r\n\r\n")
    return await reader.readexactly(int(fields.get("content-length", "0")))


async def connected(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head == PREFACE_LINE:
                connection = HTTP2(reader, writer)
                connection.h2.initiate_connection()
                await connection.run(head)
                return
            line, *lines = head.decode("latin-1").split("\r\n")[:-2]
            method, target, _ = line.split(" ")
            fields = {}
            for line in lines:
                name, _, value = line.partition(":")
                fields[name.lower()] = value.strip()
            body = await read_body(reader, writer, fields)
            if fields.get("upgrade") == "h2c":
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
                connection = HTTP2(reader, writer)
                connection.upgrade(fields["http2-settings"], (method, target), body)
                await connection.run(b"")
                return
            await handle(HTTP1(writer), method, target, body)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=1 << 20)
    async with server:
        await server.serve_forever()


asyncio.run(main())
