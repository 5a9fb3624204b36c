#!/usr/bin/env node
/**
 * A milter (Sendmail's filter protocol, version 6, as Postfix speaks it) that asks Sluice about each mail and writes the
 * verdict into one header line, `X-Sluice`. Promises: it never holds the only copy of a mail, never rejects, delays at
 * most by the deadline, and changes nothing but lines of that name; those that a mail brought along are removed. On any
 * failure (Sluice away, slow, full, without an opinion) the mail passes without the line. Its memory is bounded.
 *
 *   node sluice-milter.mjs --listen 127.0.0.1:8091 --url http://127.0.0.1:8088 --token-file /etc/sluice/token
 *
 * Every packet is a length (4 bytes, big-endian, of what follows), a letter, and data:
 *   from Postfix: O negotiate · L header (name NUL value NUL) · B body · E end · A abort · D macros · Q quit · others
 *   to Postfix:   O · c continue · s skip the rest of the body · m change header (index, name, value) · h add header
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';

const MiB = 1024 ** 2;
const HEADER = 'X-Sluice';
const MAX_PACKET = 2 * MiB;
const IDLE_MS = 10 * 60_000;
const MAX_CONNECTIONS = 200;
const MAX_ANSWER = 65_536;

/** Bits of the negotiation. */
const ADD_HEADERS = 0x01;
const CHANGE_HEADERS = 0x10;
const SKIP = 0x400;
const LEADING_SPACE = 0x100000;
/** Steps that say nothing about the message: connect, HELO, sender, recipients, unknown, DATA. */
const UNWANTED = 0x01 | 0x02 | 0x04 | 0x08 | 0x100 | 0x200;
/** Steps that need no answer: headers, their end, body. */
const SILENT = { L: 0x80, N: 0x40000, B: 0x80000 };

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8091' },
    url: { type: 'string', default: 'http://127.0.0.1:8088' },
    'token-file': { type: 'string' },
    task: { type: 'string', default: '' },
    deadline: { type: 'string', default: '2000' },
    'max-bytes': { type: 'string', default: String(50 * MiB) },
    'max-total': { type: 'string', default: String(256 * MiB) },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  process.stdout.write(
    'sluice-milter [--listen HOST:PORT] [--url http://HOST:PORT] [--token-file FILE] [--task NAME] [--deadline MS] [--max-bytes N] [--max-total N]\n',
  );
  process.exit(0);
}
const tokenFile = options['token-file'] ?? process.env.SLUICE_TOKEN_FILE;
const token = (tokenFile ? readFileSync(tokenFile, 'utf8') : (process.env.SLUICE_TOKEN ?? '')).trim();
const deadline = Number(options.deadline);
const maxBytes = Number(options['max-bytes']);
const maxTotal = Number(options['max-total']);
const target = new URL('/api/classify', options.url);
if (options.task !== '') target.searchParams.set('task', options.task);
target.searchParams.set('deadline', String(deadline));
const agent = new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });

/** Bytes of messages held now, over all connections. */
let held = 0;

// ------------------------------------------------------------------ Sluice

/** The verdict, or null: no opinion. Never rejects, and ends in bounded time. */
function classify(message) {
  return new Promise((resolve) => {
    const none = () => resolve(null);
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'message/rfc822',
      'content-length': message.length,
    };
    const signal = AbortSignal.timeout(deadline + 500);
    const asked = request(target, { method: 'POST', agent, headers, signal }, (response) => {
      const chunks = [];
      let size = 0;
      response.on('error', none).on('close', none);
      response.on('data', (chunk) => {
        size += chunk.length;
        if (size <= MAX_ANSWER) chunks.push(chunk);
      });
      response.on('end', () => {
        if (response.statusCode !== 200 || size > MAX_ANSWER) return none();
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
        } catch {
          none();
        }
      });
    });
    asked.on('error', none);
    asked.end(message);
  });
}

/** What stands after `X-Sluice: `; null where there is nothing to say. */
function lineOf(verdict) {
  if (verdict === null || typeof verdict.event !== 'string') return null;
  const { label, score, event, model, action } = verdict;
  if (label !== null && typeof label !== 'string') return null;
  // Words of the line are separated by `; `: whatever could break it is percent-encoded.
  const word = (text) =>
    String(text)
      .replace(/[^A-Za-z0-9:/+._@=-]/gu, (c) => encodeURIComponent(c.isWellFormed?.() === false ? '?' : c))
      .slice(0, 512);
  const parts = [label === null ? 'learning' : word(label)];
  if (label !== null && Number.isFinite(score)) parts.push(`score=${score.toFixed(6)}`);
  if (typeof action === 'string') parts.push(`action=${word(action)}`);
  parts.push(`event=${word(event)}`, `model=${word(model)}`);
  return parts.join('; ');
}

// ------------------------------------------------------------------ milter

class Session {
  #socket;
  #pending = Buffer.alloc(0);
  #protocol = 0;
  #busy = false;
  #pieces = [];
  #bytes = 0;
  /** The message is too large, or too many are held: there will be no opinion. */
  #dropped = false;
  /** By name as written: how many lines a mail brought along. */
  #foreign = new Map();

  constructor(socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#reset());
    socket.on('data', (chunk) => {
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      this.#read();
    });
  }

  #reset() {
    held -= this.#bytes;
    this.#pieces = [];
    this.#bytes = 0;
    this.#dropped = false;
    this.#foreign.clear();
  }

  /** One packet after the other; while a mail is being judged the next ones wait. */
  #read() {
    while (!this.#busy && this.#pending.length >= 5) {
      const length = this.#pending.readUInt32BE(0);
      if (length < 1 || length > MAX_PACKET) return this.#socket.destroy();
      if (this.#pending.length < 4 + length) return;
      const command = String.fromCharCode(this.#pending[4]);
      const data = this.#pending.subarray(5, 4 + length);
      this.#pending = this.#pending.subarray(4 + length);
      this.#take(command, data);
    }
  }

  #take(command, data) {
    if (command === 'O') return this.#negotiate(data);
    if (command === 'Q') return this.#socket.end();
    if (command === 'A' || command === 'K') return this.#reset();
    if (command === 'D') return;
    if (command === 'E') return this.#judge(data);
    if (command === 'L') this.#header(data);
    else if (command === 'N') this.#keep([Buffer.from('\r\n')]);
    else if (command === 'B') {
      this.#keep([Buffer.from(data)]);
      if (this.#dropped && this.#protocol & SKIP && !(this.#protocol & SILENT.B)) return this.#say('s');
    }
    if (!(this.#protocol & (SILENT[command] ?? 0))) this.#say('c');
  }

  #negotiate(data) {
    if (data.length < 12) return this.#socket.destroy();
    const [version, actions, offered] = [0, 4, 8].map((at) => data.readUInt32BE(at));
    const wanted = ADD_HEADERS | CHANGE_HEADERS;
    if ((actions & wanted) !== wanted) return this.#socket.destroy();
    this.#protocol = offered & (UNWANTED | SILENT.L | SILENT.N | SILENT.B | LEADING_SPACE);
    const answer = Buffer.alloc(12);
    answer.writeUInt32BE(Math.min(version, 6), 0);
    answer.writeUInt32BE(wanted, 4);
    answer.writeUInt32BE(this.#protocol, 8);
    this.#say('O', answer);
  }

  #header(data) {
    const end = data.indexOf(0);
    if (end < 0) return;
    const name = data.toString('latin1', 0, end);
    const value = data.subarray(end + 1, data.at(-1) === 0 ? data.length - 1 : data.length);
    if (/^x-sluice(?:-|$)/i.test(name)) {
      this.#foreign.set(name.toLowerCase(), (this.#foreign.get(name.toLowerCase()) ?? 0) + 1);
      return;
    }
    const text = value.toString('latin1').replace(/\r?\n/g, '\r\n');
    const colon = this.#protocol & LEADING_SPACE ? ':' : ': ';
    this.#keep([Buffer.from(`${name}${colon}${text}\r\n`, 'latin1')]);
  }

  #keep(pieces) {
    const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (!this.#dropped && (this.#bytes + size > maxBytes || held + size > maxTotal)) {
      held -= this.#bytes;
      this.#pieces = [];
      this.#bytes = 0;
      this.#dropped = true;
    }
    if (this.#dropped) return;
    this.#pieces.push(...pieces);
    this.#bytes += size;
    held += size;
  }

  async #judge(rest) {
    if (rest.length > 0) this.#keep([Buffer.from(rest)]);
    this.#busy = true;
    this.#socket.pause();
    const foreign = [...this.#foreign];
    const line = this.#dropped ? null : lineOf(await classify(Buffer.concat(this.#pieces)));
    this.#busy = false;
    this.#socket.resume();
    this.#reset();
    if (this.#socket.destroyed) return;
    // Of several lines of a name the last first: the numbers of the others stay as they are.
    for (const [name, count] of foreign)
      for (let index = count; index >= 1; index--) this.#say('m', Buffer.from(`\0\0\0\0${name}\0\0`), index);
    if (line !== null) this.#say('h', Buffer.from(`${HEADER}\0${this.#protocol & LEADING_SPACE ? ' ' : ''}${line}\0`));
    this.#say('c');
    this.#read();
  }

  #say(command, data = Buffer.alloc(0), index = null) {
    if (index !== null) data.writeUInt32BE(index, 0);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(1 + data.length, 0);
    head.write(command, 4, 'latin1');
    this.#socket.write(Buffer.concat([head, data]));
  }
}

const server = createServer((socket) => new Session(socket));
server.maxConnections = MAX_CONNECTIONS;
const [, host, port] = /^(.*):(\d+)$/.exec(options.listen) ?? [];
if (port === undefined || !(deadline > 0) || !(maxBytes > 0) || !(maxTotal > 0)) {
  process.stderr.write('sluice-milter: --listen needs HOST:PORT; --deadline and the limits need numbers\n');
  process.exit(2);
}
server.on('error', (error) => {
  process.stderr.write(`sluice-milter: cannot listen on ${options.listen}: ${error.message}\n`);
  process.exit(1);
});
server.listen(Number(port), host.replace(/^\[|\]$/g, ''), () => {
  process.stderr.write(`sluice-milter: listening on ${host}:${server.address().port}, asks ${target.origin}\n`);
});
for (const signal of ['SIGTERM', 'SIGINT'])
  process.once(signal, () => {
    // Mails under way are answered; Postfix lets the others pass.
    server.close(() => process.exit(0));
    setTimeout(() => process.exit(0), deadline + 1_000).unref();
  });
