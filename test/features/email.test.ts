import { describe, expect, test } from 'vitest';
import type { Event, Rows } from '../../src/contract.ts';
import { mimeOptions, openMime } from '../../src/decode/mime.ts';
import { openEmail } from '../../src/features/email.ts';
import { EMAIL_VIEWS, emailOptions } from '../../src/features/email-options.ts';
import { RowArena, sliceRow } from '../../src/features/rows.ts';
import { messageOf, readCorpus } from '../decode/corpus.ts';

const decoder = openMime(mimeOptions.parse({}));
const eventOf = (mail: string | Buffer): Event => decoder.decode(messageOf(mail))[0];
const open = (options: object = {}) => openEmail(emailOptions.parse(options));

function rowOf(event: Event, options: object = {}): Rows {
  const featurizer = open(options);
  const arena = new RowArena(featurizer.dims, featurizer.denseDims);
  arena.beginRow();
  featurizer.write(event, arena);
  arena.endRow();
  return sliceRow(arena.view(), 0);
}

const NAMESPACES = Object.keys(emailOptions.shape.spaces.unwrap().shape);
const onlyRaw = Object.fromEntries(NAMESPACES.map((name) => [name, name === 'raw' ? 1 : 0]));

const HEAD = 'From: a@b.example\nSubject: Cheap watches\nList-Id: <x.example>\nPrecedence: bulk\n';
const BODY =
  '\nBuy cheap watches at http://shop.example/buy?x=1 now, 100 % off! Call 555-1234.\nRegards, the shop team\n';
const MAIL = HEAD + BODY;
/** Every namespace has something of it. */
const DISGUISED = `${MAIL}v\u200bi\u200ba\u200bgra\n`;

describe('the row of a mail', () => {
  test('is the same for the same mail, from a fresh featurizer or a used one', () => {
    const featurizer = open();
    const arena = new RowArena(featurizer.dims, 0);
    for (const mail of [MAIL, 'Subject: other\n\nquite another text', MAIL]) {
      arena.beginRow();
      featurizer.write(eventOf(mail), arena);
      arena.endRow();
    }
    expect(sliceRow(arena.view(), 2)).toEqual(sliceRow(arena.view(), 0));
    expect(rowOf(eventOf(MAIL))).toEqual(sliceRow(arena.view(), 0));
    expect(sliceRow(arena.view(), 1)).not.toEqual(sliceRow(arena.view(), 0));
  });

  test('does not move: stored rows and models depend on it', () => {
    const row = rowOf(eventOf(MAIL));
    let sum = 0;
    for (const [i, index] of row.indices.entries())
      sum = (Math.imul(sum, 31) + index + Math.sign(row.values[i])) | 0;
    // If this changes on purpose, raise EMAIL_VERSION (or HASH_VERSION) and put the new numbers here.
    expect([open().version, row.indices.length, sum]).toMatchInlineSnapshot(`
      [
        "email-3-12e149b0be39",
        234,
        403217999,
      ]
    `);
  });

  test.each([
    'X-Spam-Status: Yes, score=15\n',
    'X-Spam-Flag: YES\n',
    'X-Bogosity: Spam, tests=bogofilter\n',
    'X-SpamProbe: SPAM 0.99\n',
    'X-Site-MailScanner-SpamCheck: spam,\n\tSpamAssassin (score=9)\n',
    'X-Rspamd-Score: 9\n',
    'X-Microsoft-Antispam: BCL:9\n',
    'X-MS-Exchange-Organization-SCL: 9\n',
    'X-CRM114-Status: SPAM\n',
    'X-Keywords: junk\n',
    'X-Mozilla-Status: 0001\n',
    'Status: RO\n',
    'x-virus-scanned: by amavisd\n',
  ])('does not depend on what another filter or reader wrote: %s', (header) => {
    const plain = rowOf(eventOf(MAIL));
    expect(rowOf(eventOf(header + MAIL))).toEqual(plain);
    expect(rowOf(eventOf(HEAD + header + BODY))).toEqual(plain);
  });

  test.each(['***SPAM*** ', '*****SPAM***** ', '[SPAM] ', '{Spam?} ', '[Possible SPAM] '])(
    'does not depend on a verdict in the subject: %s',
    (tag) => {
      const tagged = MAIL.replace('Subject: ', `Subject: ${tag}`);
      expect(rowOf(eventOf(tagged))).toEqual(rowOf(eventOf(MAIL)));
    },
  );

  test('does not depend on the mailbox line, the topic, the key or the time of arrival', () => {
    const plain = rowOf(eventOf(MAIL));
    expect(rowOf(eventOf(`From spammer Mon Jan  1 00:00:00 2001\n${MAIL}`))).toEqual(plain);
    const [moved] = decoder.decode(
      messageOf(MAIL, { topic: 'spam/1.txt', key: 'spam', position: 'spam/0', at: 5, label: 'spam' }),
    );
    expect(rowOf(moved)).toEqual(plain);
  });

  test('listHeaders: false leaves out what mailing lists write', () => {
    const without = MAIL.replace(/List-Id.*\nPrecedence.*\n/, '');
    expect(rowOf(eventOf(MAIL), { listHeaders: false })).toEqual(
      rowOf(eventOf(without), { listHeaders: false }),
    );
    expect(rowOf(eventOf(MAIL))).not.toEqual(rowOf(eventOf(without)));
  });

  test('gives each namespace unit length times its weight, and none to one of weight 0', () => {
    const none = Object.fromEntries(NAMESPACES.map((name) => [name, 0]));
    for (const space of NAMESPACES) {
      const row = rowOf(eventOf(DISGUISED), { bits: 26, spaces: { ...none, [space]: 2 } });
      expect(Math.min(...row.values.map(Math.abs))).toBeGreaterThan(0);
      expect(Math.hypot(...row.values)).toBeCloseTo(2, 4);
    }
    expect(rowOf(eventOf(DISGUISED), { spaces: none }).values.length).toBe(0);
  });

  test("names each bucket's view in its top bits, whatever the number of buckets", () => {
    const views = [
      ['raw'],
      ['header', 'headerPairs', 'structure'],
      ['body', 'bodyPairs', 'links', 'attachments', 'disguise'],
      ['chars', 'subject'],
    ];
    const none = Object.fromEntries(NAMESPACES.map((name) => [name, 0]));
    expect(EMAIL_VIEWS).toBe(views.length);
    for (const bits of [10, 21, 26])
      for (const [view, names] of views.entries())
        for (const name of names) {
          const { indices } = rowOf(eventOf(DISGUISED), { bits, spaces: { ...none, [name]: 1 } });
          expect(new Set(indices.map((index) => index >>> (bits - 2)))).toEqual(new Set([view]));
        }
  });

  test('a text without headers has nothing in the view of headers', () => {
    const { indices } = rowOf(eventOf('\nOk, see you at five then!'));
    expect([...new Set(indices.map((index) => index >>> 19))].sort()).toEqual([0, 2, 3]);
  });

  test('lines of base64 are left out of the raw view, what is shorter or not of base64 is not', () => {
    const line = 'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5eg==';
    const raw = (body: string) => rowOf(eventOf(`Subject: x\n\n${body}`), { spaces: onlyRaw });
    expect(raw(`one two\n${line}\n${line}\n`)).toEqual(raw('one two\n'));
    expect(raw(`one two\n${line}! three\n`)).not.toEqual(raw('one two\n'));
    expect(raw(`one two\n${line.slice(0, 40)}\n`)).not.toEqual(raw('one two\n'));
  });

  test('mail sent encoded says the same words and characters as mail sent plain', () => {
    const text = 'Buy cheap watches now, 100 % off! Call us.\n';
    const encoded = Buffer.from(text).toString('base64');
    const only = { spaces: { raw: 0, textForm: 0, headerForm: 0, header: 0, headerPairs: 0, structure: 0 } };
    expect(rowOf(eventOf(`Content-Transfer-Encoding: base64\n\n${encoded}\n`), only)).toEqual(
      rowOf(eventOf(`X: y\n\n${text}`), only),
    );
  });

  test('is bounded whatever the mail, and far parts of a long one are not read', () => {
    const long = (middle: string) =>
      `${HEAD}\n${'words and words '.repeat(20_000)}${middle}${'more and more '.repeat(20_000)}`;
    expect(rowOf(eventOf(long('secret')))).toEqual(rowOf(eventOf(long('public'))));
    let text = 'Subject: x\n\n';
    for (let i = 0; i < 200_000; i += 1) text += `${(i * 2_654_435_761).toString(36)} `;
    expect(rowOf(eventOf(text), { headBytes: 1_048_576, textLength: 1_048_576 }).indices.length).toBeLessThan(
      90_000,
    );
  });

  test('stays inside the space', () => {
    const row = rowOf(eventOf(MAIL), { bits: 10 });
    expect(Math.max(...row.indices)).toBeLessThan(1_024);
  });
});

describe('the version', () => {
  test('changes with every option that changes rows, and tells nothing of the key', () => {
    const versions = [
      {},
      { bits: 18 },
      { key: 'secret' },
      { key: 'other' },
      { listHeaders: false },
      { spaces: { raw: 0.5 } },
      { headBytes: 100 },
    ].map((options) => open(options).version);
    expect(new Set(versions).size).toBe(versions.length);
    expect(versions.join()).not.toContain('secret');
    expect(open().version).toBe(open({ bits: 21 }).version);
  });

  test('another key puts the same mail into other buckets', () => {
    const mine = new Set(rowOf(eventOf(MAIL), { key: 'a' }).indices);
    const others = rowOf(eventOf(MAIL), { key: 'b' }).indices;
    expect(others.filter((index) => mine.has(index)).length).toBeLessThan(others.length / 20);
  });
});

describe('describe', () => {
  test('names every cell that write produces, with the same values', () => {
    const event = eventOf(MAIL);
    const cells = open().describe(event);
    const row = rowOf(event);
    const sums = new Map<number, number>();
    for (const cell of cells) sums.set(cell.index, Math.fround((sums.get(cell.index) ?? 0) + cell.value));
    expect([...sums.keys()]).toEqual([...row.indices]);
    expect([...sums.values()]).toEqual([...row.values]);
    const names = cells.map((cell) => cell.name);
    for (const name of [
      'header: subject: cheap',
      'body: buy',
      'bodyPairs: buy cheap',
      'links: host shop.example',
      'raw: "Cheap"',
      'headerPairs: subject: cheap watches',
      'chars: "watch"',
      'subject: "watch"',
      'structure: from then subject',
    ])
      expect(names.some((one) => one.includes(name))).toBe(true);
    expect(names.some((name) => name.endsWith('(unnamed)'))).toBe(false);
  });

  test('a reading is refused', () => {
    const body = { kind: 'reading', values: new Float64Array(1), categories: [null] } as const;
    expect(() => open().describe({ ...eventOf(MAIL), body })).toThrowError(
      expect.objectContaining({ code: 'INTERNAL' }),
    );
  });
});

describe('real mail', () => {
  const corpus = readCorpus('index.tsv');

  test.skipIf(corpus === null)('a plain online learner gets 97 % of the first 1,000 mails right', () => {
    const featurizer = open();
    const arena = new RowArena(featurizer.dims, 0);
    const learner = new AdaGrad(featurizer.dims);
    let right = 0;
    for (const { spam, payload } of (corpus ?? []).slice(0, 1_000)) {
      arena.reset();
      arena.beginRow();
      featurizer.write(eventOf(payload), arena);
      arena.endRow();
      if (learner.step(arena.view(), spam ? 1 : 0) > 0 === spam) right += 1;
    }
    expect(right).toBeGreaterThanOrEqual(970);
  });
});

/** Logistic regression with AdaGrad (Duchi, Hazan, Singer 2011), the plain form the native one is measured by. */
class AdaGrad {
  readonly #weights: Float32Array;
  readonly #squares: Float32Array;
  #bias = 0;

  constructor(dims: number) {
    this.#weights = new Float32Array(dims);
    this.#squares = new Float32Array(dims);
  }

  /** The margin of the first row before it is learned. */
  step(rows: Rows, label: number): number {
    let margin = this.#bias;
    for (let k = 0; k < rows.indptr[1]; k += 1) margin += this.#weights[rows.indices[k]] * rows.values[k];
    const gradient = 1 / (1 + Math.exp(-margin)) - label;
    for (let k = 0; k < rows.indptr[1]; k += 1) {
      const i = rows.indices[k];
      const g = gradient * rows.values[k];
      this.#squares[i] += g * g;
      this.#weights[i] -= (0.4 * g) / (Math.sqrt(this.#squares[i]) + 1e-8);
    }
    this.#bias -= 0.05 * gradient;
    return margin;
  }
}
