import { describe, expect, test } from 'vitest';
import { fuzz } from '../../bench/mail/fuzz.ts';
import { Mutator } from '../../bench/mail/mutate.ts';
import { seedMails } from '../../bench/mail/seeds.ts';
import type { MailBody } from '../../src/contract.ts';
import { mimeOptions, readMail } from '../../src/decode/mime.ts';
import { SluiceError } from '../../src/errors.ts';
import { readCorpus } from './corpus.ts';

const options = mimeOptions.parse({});
const settings = { seed: 1, mails: 20_000, explore: 0, real: [] };
const faulty = (fault: (mail: Uint8Array, body: MailBody) => MailBody) =>
  fuzz({ ...settings, read: (mail) => fault(mail, readMail(mail, options)) }).failure;

describe('mutated mails', () => {
  // The long run is `node scripts/fuzz-mail.mjs`.
  test('are decoded or refused by a code, in bounded time and memory', () => {
    const started = Date.now();
    const real = (readCorpus('index.tsv') ?? []).filter((_, i) => i % 100 === 0).map((one) => one.payload);
    const report = fuzz({
      seed: 20_260_101,
      mails: 500_000,
      explore: 0,
      real,
      onProgress: () => Date.now() - started < 3_000,
    });
    expect(report.failure).toBeNull();
    expect(report.mails).toBeGreaterThan(5_000);
    expect(report.codes.none).toBeGreaterThan(report.mails / 2);
  });

  test('that reach something new join the pool', () => {
    const report = fuzz({ ...settings, mails: 4_000, explore: 4_000 });
    expect(report.failure).toBeNull();
    expect(report.blocks).toBeGreaterThan(100);
    expect(report.pool).toBeGreaterThan(seedMails([], 2_048).length);
  });

  test('are the same for the same seed, and never too long', () => {
    const take = (seed: number) => {
      const mutator = new Mutator(seedMails([], 500), seed, 600);
      return Array.from({ length: 200 }, () => mutator.next().toString('base64'));
    };
    expect(take(1)).toEqual(take(1));
    expect(take(1)).not.toEqual(take(2));
    expect(Math.max(...take(3).map((text) => text.length))).toBeLessThanOrEqual(800);
  });
});

describe('the fuzzer finds', () => {
  test('what is thrown without a code, and gives the smallest mail', () => {
    const failure = faulty((mail, body) => {
      if (Buffer.from(mail).includes('<td')) throw new TypeError('oh');
      return body;
    });
    expect(failure?.why).toBe('threw TypeError: oh');
    expect(Buffer.from(failure?.mail ?? '', 'base64').toString()).toContain('<td');
    expect(Buffer.from(failure?.mail ?? '', 'base64').length).toBeLessThan(10);
  });

  test('a code that is not the decoder\u2019s', () => {
    const failure = faulty(() => {
      throw new SluiceError('INTERNAL', 'x');
    });
    expect(failure?.why).toBe('INTERNAL');
  });

  test('more text than there are bytes', () => {
    const failure = faulty((mail, body) => ({
      ...body,
      texts: [{ text: 'x'.repeat(mail.length + 1), type: 'plain' }],
    }));
    expect(failure?.why).toBe('more text than bytes');
  });

  test('what takes too long', () => {
    const failure = faulty((mail, body) => {
      const end = performance.now() + (mail.length > 400 ? 3 : 0);
      while (performance.now() < end);
      return body;
    });
    expect(failure?.why).toBe('slow');
  });

  test('what grows', () => {
    const kept: Buffer[] = [];
    const failure = faulty((_, body) => {
      kept.push(Buffer.alloc(2_000));
      return body;
    });
    expect(failure?.why).toMatch(/^memory grew/);
    expect(kept.length).toBeGreaterThan(0);
  });
});
