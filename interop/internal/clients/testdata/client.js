// A client of the module http2. driver.go says how it is told what to do.
'use strict';
const crypto = require('node:crypto');
const http2 = require('node:http2');
const readline = require('node:readline');

const KEPT = 64 << 10; // octets of a body

const tell = (line) => process.stdout.write(JSON.stringify(line) + '\n');

const multimap = (headers) => Object.fromEntries(Object.entries(headers)
  .filter(([name]) => !name.startsWith(':'))
  .map(([name, value]) => [name, [value].flat().map(String)]));

let session;

// sessionFor returns a connection, the same one as long as it takes requests.
function sessionFor(url) {
  if (!session || session.closed || session.destroyed) {
    session = http2.connect(url.origin);
    session.on('error', () => {}); // its streams tell
  }
  return session;
}

// send sends a request, and returns when its response has ended.
function send(n, request, proceed) {
  const url = new URL(request.url);
  const body = Buffer.from(request.body ?? '', 'base64');
  const headers = { ':method': request.method, ':path': request.target || url.pathname + url.search };
  for (const [name, values] of Object.entries(request.header)) {
    headers[name.toLowerCase()] = values;
  }
  if (body.length > 0 && !request.noSize) {
    headers['content-length'] = body.length;
  }
  if (request.expect) {
    headers.expect = '100-continue';
  }
  const response = {
    n, proto: '', status: 0, interim: [], header: {}, trailer: {}, early: {}, size: 0, sha256: '', body: '', err: '',
  };
  const hash = crypto.createHash('sha256');
  let kept = Buffer.alloc(0);

  const stream = sessionFor(url).request(headers, { endStream: body.length === 0 });
  if (body.length > 0) {
    if (request.expect) {
      stream.on('continue', () => stream.end(body));
    } else {
      stream.end(body);
    }
  }
  stream.on('headers', (h) => {
    response.interim.push(h[':status']);
    if (h[':status'] === 103) {
      response.early = multimap(h);
    }
  });
  stream.on('response', (h) => {
    response.proto = 'HTTP/2.0';
    response.status = h[':status'];
    response.header = multimap(h);
  });
  stream.on('trailers', (h) => { response.trailer = multimap(h); });
  stream.on('data', (part) => {
    const first = response.size === 0;
    response.size += part.length;
    kept = Buffer.concat([kept, part.subarray(0, KEPT - kept.length)]);
    hash.update(part);
    if (!request.parts) {
      return;
    }
    tell({ n, data: part.toString('base64') });
    if (first && request.cancel) {
      proceed(() => {
        response.err = 'cancelled';
        stream.close(http2.constants.NGHTTP2_CANCEL);
      });
    }
  });
  let complete = false;
  stream.on('end', () => { complete = true; });
  stream.on('error', (err) => { response.err ||= String(err); });
  return new Promise((resolve) => stream.on('close', () => {
    if (!complete || stream.rstCode !== 0) {
      response.err ||= `reset with code ${stream.rstCode}`;
    }
    response.sha256 = hash.digest('hex');
    response.body = kept.toString('base64');
    tell(response);
    resolve();
  }));
}

async function perform(job, proceed) {
  const each = job.requests.map((request, n) => () => send(n, request, proceed));
  if (job.atOnce) {
    await Promise.all(each.map((f) => f()));
  } else {
    for (const f of each) {
      await f();
    }
  }
  session.close();
}

const lines = readline.createInterface({ input: process.stdin });
lines.once('line', (line) => {
  perform(JSON.parse(line), (f) => lines.once('line', f));
});
