'use strict';

// A server of Node's http2; native.go says what it serves. Arguments: port, directory of the files.

const fs = require('fs');
const http2 = require('http2');
const path = require('path');

const EVENTS = 3;
const [port, www] = process.argv.slice(2);

class Gate {
	permits = 0;
	waiting = [];

	open() {
		const next = this.waiting.shift();
		if (next) {
			next();
		} else {
			this.permits++;
		}
	}

	async pass() {
		if (this.permits > 0) {
			this.permits--;
		} else {
			await new Promise((resolve) => this.waiting.push(resolve));
		}
	}
}

const gates = new Map();

function gate(name) {
	if (!gates.has(name)) {
		gates.set(name, new Gate());
	}
	return gates.get(name);
}

// pass waits at a gate, and reports whether it opened while the request was there.
async function pass(res, name) {
	let open = false;
	const gone = new Promise((resolve) => res.stream.once('close', resolve));
	await Promise.race([gate(name).pass().then(() => { open = true; }), gone]);
	if (!open) {
		console.log(`cancelled ${name}`);
	}
	return open;
}

async function handle(req, res) {
	const [target, name] = req.url.split('?');
	if (target === '/open') {
		gate(name).open();
		res.end();
		return;
	}
	console.log(`handled ${req.method} ${req.url}`);
	const [, kind, size] = target.split('/');
	switch (kind) {
	case 'echo':
		req.pipe(res);
		break;
	case 'bytes': {
		const file = path.join(www, 'bytes', size);
		res.writeHead(200, { 'content-length': fs.statSync(file).size });
		if (req.method === 'HEAD') {
			res.end();
		} else {
			fs.createReadStream(file).pipe(res);
		}
		break;
	}
	case 'trailers':
		res.addTrailers({ 'x-check': 'done' });
		res.end('hello\n');
		break;
	case 'early':
		res.writeEarlyHints({ link: '</style.css>; rel=preload' });
		res.end('hello\n');
		break;
	case 'gate': {
		const body = fs.readFileSync(path.join(www, 'bytes', size));
		res.writeHead(200, { 'content-length': body.length });
		res.write(body.subarray(0, body.length / 2));
		if (await pass(res, name)) {
			res.end(body.subarray(body.length / 2));
		}
		break;
	}
	case 'events':
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		for (let i = 1; i <= EVENTS; i++) {
			res.write(`data: ${i}\n\n`);
			if (!await pass(res, name)) {
				return;
			}
		}
		res.end();
		break;
	default:
		res.writeHead(404);
		res.end();
	}
}

http2.createServer(handle).listen(port, '127.0.0.1');
