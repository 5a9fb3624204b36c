/** The milter of docs/mail/ alone, spoken to by hand: what Postfix would never say, and what is too large. */
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { mulberry } from '../decode/random.ts';
import { freePort, type Program, startMilter } from '../servers/mail.ts';

const TOKEN = 'correct-horse-battery-staple';
let milter: Program;
let answer: { status: number; body: string };
const asked: { body: string; authorization?: string }[] = [];
const gateway = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const { authorization } = request.headers;
    asked.push({
      body: Buffer.concat(chunks).toString('latin1'),
      ...(authorization ? { authorization } : {}),
    });
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
  });
});

beforeAll(async () => {
  const port = await freePort();
  await new Promise<void>((resolve) => gateway.listen(port, '127.0.0.1', resolve));
  milter = await startMilter({ url: `http://127.0.0.1:${port}`, token: TOKEN });
});
afterAll(async () => {
  await milter.stop();
  gateway.closeAllConnections();
  gateway.close();
});

/** One packet; data may hold anything. */
function packet(command: string, data: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(data as string, 'latin1');
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + bytes.length, 0);
  head.write(command, 4);
  return Buffer.concat([head, bytes]);
}
const negotiation = (protocol: number) => {
  const data = Buffer.alloc(12);
  data.writeUInt32BE(6, 0);
  data.writeUInt32BE(0x1ff, 4);
  data.writeUInt32BE(protocol, 8);
  return packet('O', data);
};

class Postfix {
  readonly #socket: Socket;
  #seen = Buffer.alloc(0);
  closed = false;

  constructor() {
    this.#socket = connect(milter.port, '127.0.0.1');
    this.#socket.on('data', (chunk) => {
      this.#seen = Buffer.concat([this.#seen, chunk]);
    });
    this.#socket
      .on('error', () => undefined)
      .on('close', () => {
        this.closed = true;
      });
  }

  say(...packets: Buffer[]): void {
    this.#socket.write(Buffer.concat(packets));
  }

  /** Answers so far, as `letter data`. */
  get answers(): string[] {
    const found: string[] = [];
    for (let at = 0; at + 4 < this.#seen.length; ) {
      const length = this.#seen.readUInt32BE(at);
      const data = this.#seen.toString('latin1', at + 5, at + 4 + length);
      found.push(`${String.fromCharCode(this.#seen[at + 4])} ${data}`);
      at += 4 + length;
    }
    return found;
  }

  async until(condition: (answers: string[]) => boolean): Promise<string[]> {
    for (const end = Date.now() + 8_000; !condition(this.answers); ) {
      if (Date.now() > end) throw new Error(`so far: ${JSON.stringify(this.answers)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.answers;
  }

  end(): void {
    this.#socket.destroy();
  }
}

const SILENT = 0x80 | 0x40000 | 0x80000 | 0x100000;
const VERDICT = JSON.stringify({
  event: 'sha256:ab',
  label: 'sp; am\r\nX: 1',
  score: 0.9,
  model: 'blank+3',
  action: 'tag',
});
const lines = (count: number) => Array.from({ length: count }, () => packet('L', 'X-Sluice\0 ham\0'));

it('sends the whole message, takes every foreign line out, and writes one line that nothing can break', async () => {
  answer = { status: 200, body: VERDICT };
  const postfix = new Postfix();
  postfix.say(
    negotiation(SILENT),
    packet('D', 'Mqueue\0id\0'),
    packet('L', 'Subject\0 a\n b\0'),
    ...lines(2),
  );
  postfix.say(packet('L', 'x-sluice-event\0 e\0'), packet('N'), packet('B', 'body\r\n'), packet('E'));
  const said = await postfix.until((answers) => answers.some((one) => one === 'c '));
  expect(asked.at(-1)).toEqual({
    body: 'Subject: a\r\n b\r\n\r\nbody\r\n',
    authorization: `Bearer ${TOKEN}`,
  });
  expect(said.slice(1)).toEqual([
    'm \0\0\0\u0002x-sluice\0\0',
    'm \0\0\0\u0001x-sluice\0\0',
    'm \0\0\0\u0001x-sluice-event\0\0',
    'h X-Sluice\0 sp%3B%20am%0D%0AX:%201; score=0.900000; action=tag; event=sha256:ab; model=blank+3\0',
    'c ',
  ]);
  // The next mail of the same connection knows nothing of this one.
  postfix.say(packet('L', 'Subject\0 c\0'), packet('N'), packet('A'));
  postfix.say(packet('L', 'Subject\0 d\0'), packet('N'), packet('E', 'last\r\n'));
  await postfix.until((answers) => answers.filter((one) => one === 'c ').length === 2);
  expect(asked.at(-1)!.body).toBe('Subject: d\r\n\r\nlast\r\n');
  postfix.end();
});

it.each([
  ['an error', { status: 500, body: '{}' }],
  ['no opinion', { status: 503, body: '{"error":"busy"}' }],
  ['what is no JSON', { status: 200, body: 'hello' }],
  ['null', { status: 200, body: 'null' }],
  ['a list', { status: 200, body: '[]' }],
  ['a verdict without an event', { status: 200, body: '{"label":"spam"}' }],
  ['far too much', { status: 200, body: `{"event":"e","label":"${'x'.repeat(100_000)}"}` }],
])('lets the mail pass without a line where Sluice answers with %s', async (_, said) => {
  answer = said;
  const postfix = new Postfix();
  // An older Postfix that wants an answer for each step.
  postfix.say(
    negotiation(0),
    packet('L', 'Subject\0a\0'),
    ...lines(1),
    packet('N'),
    packet('B', 'b'),
    packet('E'),
  );
  const answers = await postfix.until((all) => all.filter((one) => one === 'c ').length === 5);
  expect(answers.filter((one) => one.startsWith('h'))).toEqual([]);
  expect(answers.filter((one) => one.startsWith('m'))).toHaveLength(1);
  expect(asked.at(-1)!.body).toBe('Subject: a\r\n\r\nb');
  postfix.end();
});

it('lets a mail above its limit pass unseen, without keeping it', async () => {
  answer = { status: 200, body: VERDICT };
  const postfix = new Postfix();
  const before = asked.length;
  const chunk = packet('B', Buffer.alloc(65_535, 'x'));
  postfix.say(negotiation(SILENT), packet('L', 'Subject\0 a\0'), packet('N'));
  for (let n = 0; n < 801; n++) postfix.say(chunk);
  postfix.say(packet('E'));
  const answers = await postfix.until((all) => all.includes('c '));
  expect(answers.slice(1)).toEqual(['c ']);
  expect(asked).toHaveLength(before);
  postfix.end();
});

it('survives whatever it is told', async () => {
  answer = { status: 200, body: VERDICT };
  const random = mulberry(5);
  for (let n = 0; n < 60; n++) {
    const stranger = new Postfix();
    const bytes = Buffer.from(Array.from({ length: 200 }, () => Math.floor(random() * 256)));
    if (n % 3 === 0) stranger.say(bytes);
    else if (n % 3 === 1) stranger.say(negotiation(SILENT), packet('LNBEDOA'[n % 7], bytes), packet('E'));
    else stranger.say(negotiation(SILENT), packet('O', 'short'), packet('L', 'no zero'));
    setTimeout(() => stranger.end(), 300);
  }
  await new Promise((resolve) => setTimeout(resolve, 400));
  const postfix = new Postfix();
  postfix.say(negotiation(SILENT), packet('L', 'Subject\0 a\0'), packet('N'), packet('E'));
  expect((await postfix.until((all) => all.includes('c '))).some((one) => one.startsWith('h '))).toBe(true);
  postfix.end();
});
