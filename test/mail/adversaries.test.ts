/**
 * What attacks on mail cost the filter as it comes, in the simulator's mail world, whose figures are the same on every
 * machine. The bounds are promises with room; figures on real mail: `npm run bench -- --case mail-attacks`.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ATTACKS, type AttackName } from '../../bench/mail/attacks.ts';
import { nextCopy } from '../../bench/mail/poison.ts';
import { takeApart } from '../../bench/mail/rewriting.ts';
import { makeWorld, type World } from './kit.ts';

let world: World;
beforeAll(async () => {
  world = await makeWorld(1);
}, 60_000);
afterAll(() => world.model.close());

const squeezed = (text: string) => text.replace(/\s+/g, '');

describe('an attacker', () => {
  test('keeps the sender, and writes mails that decode', () => {
    const attacker = world.attacker();
    for (const { apply } of Object.values(ATTACKS))
      for (const raw of world.spam.slice(0, 3)) {
        const [before, after] = [takeApart(raw), takeApart(apply(raw, attacker))];
        const from = (pieces: typeof before) => pieces.mail.headers.find(([name]) => name === 'from')?.[1];
        expect(from(after)).toBe(from(before));
      }
  });

  test('does the same again with the same seed', () => {
    const [one, other] = [world.attacker(), world.attacker()];
    for (const { apply } of Object.values(ATTACKS))
      expect(apply(world.spam[0], one).equals(apply(world.spam[0], other))).toBe(true);
  });

  test.each(['base64', 'quoted-printable', 'words split by tags', 'words split by comments'] as const)(
    '%s: the reader sees what he saw',
    (name) => {
      const raw = world.spam.find((each) => /^[ -~\n]*$/.test(takeApart(each).text))!;
      const seen = squeezed(takeApart(ATTACKS[name].apply(raw, world.attacker())).text);
      expect(seen).toContain(squeezed(takeApart(raw).text));
    },
  );

  test.each(['hidden: display:none', 'hidden: white on white', 'hidden: font size 0'] as const)(
    '%s: the reader sees none of the good words',
    (name) => {
      const { text, mail } = takeApart(ATTACKS[name].apply(world.spam[0], world.attacker()));
      const hidden = mail.hidden.join(' ').split(/\s+/);
      expect(hidden.length).toBeGreaterThanOrEqual(200);
      expect(squeezed(text)).not.toContain(hidden.slice(0, 5).join(''));
    },
  );
});

/** Points of the spam that a filter which learns no more may lose by an attack, at most. */
const MOST: Readonly<Record<AttackName, number>> = {
  ...{
    'written anew, plain': 1,
    'written anew, HTML': 1,
    base64: 1,
    'quoted-printable': 1,
    'wrong charset': 1,
  },
  ...{
    'hidden: display:none': 1,
    'hidden: white on white': 1,
    'hidden: font size 0': 1,
    'hidden: comments': 1,
  },
  ...{ 'homoglyphs, some': 1, 'homoglyphs, all': 1, 'full-width letters': 1, 'mathematical letters': 1 },
  ...{ 'zero-width spaces': 1, 'soft hyphens': 1, 'strokes over letters': 1 },
  ...{ 'words split by tags': 1, 'words split by comments': 1, 'random paragraph': 1 },
  ...{ picture: 4, 'picture, good words': 4, 'subject only': 8 },
  ...{ 'digits for letters': 10, 'points between letters': 12, 'blanks between letters': 15 },
  // These say what good mail says. What stops them is a label: see below.
  ...{ 'good words, dictionary': 20, 'good paragraph': 50, 'good words, strong': 100 },
};

describe('of the spam that is caught', () => {
  test('without an attack it is nearly all', async () => {
    const { caught, lost, area } = await world.under(null);
    expect(caught).toBeGreaterThan(96);
    expect(lost).toBeLessThan(1);
    expect(area).toBeLessThan(0.5);
  });

  test.each(Object.entries(MOST))('%s takes at most %d points', async (name, most) => {
    const [before, after] = [await world.under(null), await world.under(name as AttackName)];
    expect(before.caught - after.caught).toBeLessThanOrEqual(most);
  });
});

test.each(['good words, strong', 'good paragraph', 'blanks between letters', 'picture, good words'] as const)(
  'a campaign (%s) of changed copies: once one is labelled the next is caught, and good mail is not lost for it',
  async (attack) => {
    const { laboratory, bytes, spam, ham } = world;
    const attacker = world.attacker();
    for (const raw of spam.slice(0, 4)) {
      const model = laboratory.load(bytes);
      const copy = () => nextCopy(ATTACKS[attack].apply(raw, attacker), attacker);
      const scores = await laboratory.goOn(
        model,
        Array.from({ length: 4 }, () => ({ raw: copy(), label: true })),
      );
      expect(Math.min(...scores.subarray(2))).toBeGreaterThan(0.5);
      const lost = (await laboratory.score(model, ham)).filter((p) => p > 0.5).length;
      expect(lost / ham.length).toBeLessThan(0.05);
      model.close();
    }
  },
);
