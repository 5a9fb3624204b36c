import { describe, expect, it } from 'vitest';
import type { Contribution } from '../../src/task/explanation.ts';
import { named } from '../../src/task/reasons/names.ts';
import { reasonsOf } from '../../src/task/reasons.ts';

const cells = (weights: Readonly<Record<string, number>>): Contribution[] =>
  Object.entries(weights).map(([feature, logOdds]) => ({
    ...{ feature, logOdds, part: 'sparse', value: 0.1, missing: false },
  }));

describe('reasons', () => {
  it('are one for all that tells of the same word, called by the word', () => {
    const { towards, away, rest } = reasonsOf(
      cells({
        'bodyPairs: be removed': 0.3,
        'body: removed': 0.2,
        'chars: "emove"': 0.1,
        'chars: " remo"': 0.05,
        'raw: "Removed,"': 0.04,
        'body: be': 0.01,
        'body: regards': -0.3,
        'chars: "egard"': -0.1,
      }),
      5,
    );
    expect(towards).toEqual([
      {
        what: 'text "removed"',
        with: ['"be … removed"', '"…emove…"', '"… remo…"'],
        features: 5,
        logOdds: expect.closeTo(0.69, 6),
      },
      { what: 'text "be"', with: [], features: 1, logOdds: 0.01 },
    ]);
    expect(away).toEqual([
      { what: 'text "regards"', with: ['"…egard…"'], features: 2, logOdds: expect.closeTo(-0.4, 6) },
    ]);
    expect(rest).toEqual({ features: 0, logOdds: 0 });
  });

  it('keep one field apart from another', () => {
    const { towards } = reasonsOf(
      cells({ 'body: cheap': 0.2, 'header: subject: cheap': 0.1, 'subject: "cheap"': 0.05 }),
      5,
    );
    expect(towards.map(({ what, features }) => [what, features])).toEqual([
      ['text "cheap"', 1],
      ['header subject "cheap"', 2],
    ]);
  });

  it('never lose or double a contribution, however few are shown', () => {
    const many = Object.fromEntries(
      Array.from({ length: 400 }, (_, i) => {
        const word = (i * 7919).toString(36);
        const kinds = [
          `body: ${word}`,
          `chars: "${word}"`,
          `bodyPairs: ${word} x`,
          `raw: "<${word}>"`,
          `odd ${word}`,
        ];
        return [kinds[i % 5], Math.sin(i)];
      }),
    );
    const sum = Object.values(many).reduce((a, b) => a + b, 0);
    for (const limit of [1, 7, 1_000]) {
      const { towards, away, rest } = reasonsOf(cells(many), limit);
      const all = [...towards, ...away, rest];
      expect(towards.length).toBeLessThanOrEqual(limit);
      expect(all.reduce((total, { features }) => total + features, 0)).toBe(Object.keys(many).length);
      expect(all.reduce((total, { logOdds }) => total + logOdds, 0)).toBeCloseTo(sum, 9);
    }
  });

  it('stay quick for the largest mails', () => {
    const large = cells(
      Object.fromEntries(
        Array.from({ length: 24_000 }, (_, i) => {
          const word = ((i + 1) * 2_654_435_761).toString(36).repeat(3).slice(0, 40);
          return [i % 2 ? `body: ${word}` : `chars: "${word.slice(0, 5)}${i}"`, Math.cos(i)];
        }),
      ),
    );
    const start = performance.now();
    reasonsOf(large, 12);
    // Words times pieces would be hundreds of millions of comparisons: minutes.
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe('the name of a cell', () => {
  it.each([
    ['body: viagra', 'text "viagra"'],
    ['bodyPairs: click here', 'text "click … here"'],
    ['header: received: 10.0.0.1', 'header received "10.0.0.1"'],
    ['headerPairs: received: from host', 'header received "from … host"'],
    ['chars: "heap "', 'characters "…heap …" of the text'],
    ['subject: "ADV:"', 'characters "…ADV:…" of the subject'],
    ['raw: "=20</b>"', 'as sent "=20</b>"'],
    ['raw: unseen "kernel"', 'not shown to the reader "kernel"'],
    ['structure: has x-mailer', 'has a header x-mailer'],
    ['structure: to then from', 'header from right after to'],
    ['structure: ^ then received', 'the first header is received'],
    ['structure: fields 5', 'headers: fields 16 to 31'],
    ['links: host shop.example', 'link, host shop.example'],
    ['links: number 0', 'links: none'],
    ['links: number 3', 'links: 4 to 7'],
    ['attachments: plain 1 html 0 attached 2', 'parts: plain 1, HTML none, attached 2 to 3'],
    ['attachments: text length 11', 'characters of text: 1024 to 2047'],
    ['attachments: type image/gif', 'attachment, type image/gif'],
    ['disguise: invisible 3', 'characters without width inside words: 4 to 7'],
    ['disguise: hidden words 8', 'words hidden from the reader: 128 to 255'],
    ['body: cheap | chars: "x y"', 'text "cheap" or chars: "x y"'],
    ['headerForm: from and reply-to other', 'domains of from and reply-to: of different owners'],
    ['headerForm: clock behind 0', "sender's clock is right to the hour"],
    ['headerForm: clock ahead 3', "sender's clock is ahead, hours: 4 to 7"],
    ['headerForm: from address a9', 'address of the sender: shape “a9”'],
    ['textForm: blank -2', 'blank lines: about 1 in 4 lines'],
    ['textForm: digits none', 'digits: none'],
    ['textForm: ends a! ', 'end of the text: shape “a! ”'],
    ['headerForm: hops 2 | textForm: money -6', 'servers on the way: 2 or textForm: money -6'],
    ['textForm: of another version 3', 'form of the text: of another version 3'],
    ['bucket 17', 'bucket 17'],
    ['constructor: x', 'constructor: x'],
    ['body: ', 'text ""'],
    ['chars: "half', 'characters "…\\"half…" of the text'],
  ])('%s reads %s', (name, text) => {
    expect(named(name).text).toBe(text);
  });
});
