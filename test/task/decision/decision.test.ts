import { expect, test } from 'vitest';
import { Correspondents } from '../../../src/task/decision/correspondents.ts';
import { decisionOptions, resolveDecision } from '../../../src/task/decision/options.ts';
import { Decision } from '../../../src/task/decision.ts';
import { seededRandom } from '../../../src/task/random.ts';
import { act, confirm, HAM, label, mail, newDecision, SPAM, scoresOf } from './kit.ts';

const SMALL = { tag: 0.01, window: 1_000 };

test('what is called spam is unsure until enough ham is confirmed, and the label ham is never acted on', () => {
  const decision = newDecision();
  expect(act(decision, 9)).toEqual({ action: 'unsure', reason: 'evidence' });
  confirm(decision, 1, 2_995);
  expect(act(decision, 9)).toEqual({ action: 'unsure', reason: 'evidence' });
  confirm(decision, 2_995, 2_996, () => 2);
  expect(act(decision, 9)).toEqual({ action: 'tag' });
  expect(act(decision, 2)).toEqual({ action: 'unsure', reason: 'threshold' });
  expect(act(decision, 1)).toEqual({ action: 'unsure', reason: 'threshold' });
  expect(decision.decide('e', null, HAM, scoresOf(9), 0)).toEqual({ action: 'none' });
  expect(decision.decide('e', null, -1, scoresOf(9), 0)).toEqual({ action: 'none' });
  expect(decision.figures()).toMatchObject({ confirmed: 2_995, least: 2_995, begun: true, hold: null });
  expect(decision.figures().tag).toBeCloseTo(1 / (1 + Math.exp(-2)), 6);
});

test('only ham that had a verdict is evidence; spam and withdrawals are none', () => {
  const decision = newDecision(SMALL);
  for (let seq = 1; seq < 1_000; seq++) {
    decision.labelled(label(seq * 3, HAM, -5, { predicted: -1 }));
    decision.labelled(label(seq * 3 + 1, SPAM, -5));
    decision.labelled(label(seq * 3 + 2, -1, -5));
  }
  expect(decision.figures().confirmed).toBe(0);
});

test('a corrected or withdrawn label is taken back, a late one counts, and one told twice counts once', () => {
  const decision = newDecision(SMALL);
  confirm(decision, 1, 299);
  decision.labelled(label(299, HAM, 7));
  expect(act(decision, 7).action).toBe('unsure');
  decision.labelled(label(300, SPAM, 7, { supersedes: 299 }));
  expect(act(decision, 7)).toEqual({ action: 'unsure', reason: 'evidence' });
  decision.labelled(label(301, HAM, -5, { supersedes: 4_000 }));
  expect(act(decision, 7)).toEqual({ action: 'tag' });
  confirm(decision, 290, 302);
  expect(decision.figures().confirmed).toBe(299);
  decision.labelled(label(302, -1, -5, { supersedes: 301 }));
  expect(decision.figures().confirmed).toBe(298);
  expect(decision.through).toBe(302);
});

test('hold is stricter than tag and comes on top of it', () => {
  const decision = newDecision({ tag: 0.01, hold: 0.001, window: 4_000 });
  const random = seededRandom(1, 'ham');
  confirm(decision, 1, 3_500, () => 4 * random());
  const { tag, hold } = decision.figures();
  expect(hold!).toBeGreaterThan(tag!);
  expect(act(decision, 4.1)).toEqual({ action: 'hold' });
  expect(act(decision, 3.99)).toEqual({ action: 'tag' });
  const alone = newDecision({ tag: 'off', hold: 0.01, window: 400 });
  confirm(alone, 1, 400);
  expect(act(alone, 1)).toEqual({ action: 'hold' });
  expect(act(alone, -6)).toEqual({ action: 'unsure', reason: 'threshold' });
});

test('scores that are the same to six decimals are told apart, and a probability of 1 never passes another one', () => {
  const decision = newDecision(SMALL);
  confirm(decision, 1, 300, (seq) => (seq === 7 ? 30 : -5));
  expect(act(decision, 30).action).toBe('unsure');
  expect(act(decision, 31).action).toBe('tag');
  const full = Float32Array.of(0, 1);
  decision.labelled(label(300, HAM, 0, { scores: full }));
  expect(decision.decide('e', null, SPAM, full, 0).action).toBe('unsure');
  expect(decision.decide('e', null, SPAM, Float32Array.of(Number.NaN, Number.NaN), 0).action).toBe('unsure');
  decision.labelled(label(301, HAM, 0, { scores: Float32Array.of(0, 0) }));
  expect(decision.figures().confirmed).toBe(300);
});

test('spam that was called ham by mistake stops tagging, loses no ham, and ages out', () => {
  const decision = newDecision({ tag: 0.01, window: 400 });
  confirm(decision, 1, 401);
  decision.labelled(label(401, HAM, 20));
  expect(act(decision, 19).action).toBe('unsure');
  // 299 are asked for k = 0.
  confirm(decision, 402, 700);
  expect(act(decision, 19).action).toBe('unsure');
  confirm(decision, 700, 701);
  expect(act(decision, 19).action).toBe('tag');
});

test('with many confirmed some wrong labels are borne', () => {
  const decision = newDecision();
  const random = seededRandom(1, 'wrong');
  confirm(decision, 1, 60_000, (seq) => (seq % 5_000 === 0 ? 15 : 3 * random()));
  expect(act(decision, 4)).toEqual({ action: 'tag' });
});

test('another base begins strictly, and a restart goes on as if it had not been', () => {
  let decision = newDecision(SMALL);
  confirm(decision, 1, 600, (seq) => seq / 600);
  const cut = Decision.prototype.save.call(decision);
  const steps = (one: Decision) => {
    one.running('other');
    const seen = [];
    for (let seq = 600; seq < 1_000; seq++) {
      one.labelled(label(seq, HAM, seq === 700 ? 3 : -1, { base: seq % 2 ? 'other' : 'base' }));
      one.labelled(label(seq + 0.5, HAM, 0, { base: 'other', supersedes: seq - 30 }));
      seen.push(act(one, 2).action + act(one, 4).action, one.figures());
    }
    return seen;
  };
  const whole = steps(decision);
  decision = newDecision(SMALL);
  decision.restore(cut);
  expect(steps(decision)).toEqual(whole);
  expect(new Set(whole.map((each) => (typeof each === 'string' ? each : '')))).toContain('tagtag');
});

test('saved state of any other kind is refused, and nothing else comes out of it', () => {
  const good = newDecision({ ...SMALL, authserv: 'mx', correspondents: true });
  confirm(good, 1, 500);
  const text = good.save();
  const broken = [
    '',
    '{}',
    'null',
    '[]',
    '{"format":2}',
    text.slice(0, -9),
    text.replace('"through":499', '"through":"x"'),
  ];
  const columns = JSON.parse(text);
  columns.bounds.tag.columns[1] = columns.bounds.tag.columns[1].slice(0, 64);
  broken.push(JSON.stringify(columns));
  columns.bounds.tag.columns = [0, 1, 2].map(() => '');
  columns.bounds.tag.columns[0] = Buffer.from(Float64Array.of(2, 1).buffer).toString('base64');
  columns.bounds.tag.columns[1] = columns.bounds.tag.columns[0];
  columns.bounds.tag.columns[2] = Buffer.of(1, 1).toString('base64');
  broken.push(JSON.stringify(columns));
  for (const each of broken)
    expect(() => newDecision(SMALL).restore(each), each.slice(0, 60)).toThrowError(
      expect.objectContaining({ code: 'DECISION_STATE' }),
    );
  const other = newDecision({ tag: 0.02, hold: 0.01, window: 400 });
  other.restore(text);
  expect(other.figures()).toMatchObject({ confirmed: 400, begun: true });
  expect(other.figures().hold).not.toBe(null);
});

// ---------------------------------------------------------------- senders

const MX = 'mx.example.org';
const signed = (address: string) =>
  mail(`Authentication-Results: ${MX}; dkim=pass header.d=${address.split('@')[1]}`, `From: ${address}`);
const unsigned = (address: string) => mail(`Authentication-Results: ${MX}; dkim=none`, `From: ${address}`);
const judge = (decision: Decision, event: ReturnType<typeof mail>, id = 'e') =>
  decision.decide(id, decision.senderOf(event, SPAM), SPAM, scoresOf(9), 0);

function ready(given: object): Decision {
  const decision = newDecision({ ...SMALL, ...given });
  confirm(decision, 1, 400);
  return decision;
}

test('allowed addresses and domains are never acted on; with authserv only where they are authenticated', () => {
  const allow = ['Jane@friend.example', 'good.example'];
  const open = ready({ allow });
  const strict = ready({ allow, authserv: MX });
  for (const address of ['jane@friend.example', 'x@good.example', 'x@mail.good.example']) {
    expect(judge(open, unsigned(address))).toEqual({ action: 'none', reason: 'allowed' });
    expect(judge(strict, signed(address))).toEqual({ action: 'none', reason: 'allowed' });
    expect(judge(strict, unsigned(address))).toEqual({ action: 'tag' });
  }
  for (const address of ['joe@friend.example', 'x@notgood.example', 'good.example@evil.example', '<>'])
    expect(judge(open, unsigned(address))).toEqual({ action: 'tag' });
});

test('a sender of three confirmed mails is known, as long as nobody can have forged it and no spam of it is confirmed', () => {
  const decision = ready({ authserv: MX, correspondents: true });
  const jane = 'jane@friend.example';
  let seq = 1_000;
  const told = (id: string, truth: number, supersedes = 0) =>
    decision.labelled(label(++seq, truth, -5, { event: id, supersedes }));
  for (const id of ['a', 'b', 'c']) {
    expect(judge(decision, signed(jane), id).action).toBe('tag');
    judge(decision, unsigned('joe@friend.example'), `${id}-joe`);
    told(id, HAM);
    told(`${id}-joe`, HAM);
  }
  expect(judge(decision, signed(jane), 'd')).toEqual({ action: 'none', reason: 'correspondent' });
  expect(judge(decision, unsigned(jane), 'x').action).toBe('tag');
  expect(judge(decision, signed('joe@friend.example'), 'y').action).toBe('tag');
  told('c', -1, seq - 1);
  expect(judge(decision, signed(jane), 'z').action).toBe('tag');
  told('c', HAM, seq); // it was forgotten
  told('b', SPAM, seq - 5);
  told('b', HAM, seq);
  expect(judge(decision, signed(jane), 'z').action).toBe('tag');
  for (const id of ['a2', 'b2']) {
    judge(decision, signed(jane), id);
    told(id, HAM);
  }
  expect(judge(decision, signed(jane), 'z').action).toBe('none');
  told('d', SPAM);
  expect(judge(decision, signed(jane), 'z').action).toBe('tag');
});

test('whom a user wrote to is known at once, and over a restart with the same key', () => {
  const options = { authserv: MX, correspondents: true };
  const decision = ready(options);
  const out = mail(
    `Authentication-Results: ${MX}; auth=pass`,
    'From: me@example.org',
    'To: Joe <joe@friend.example>',
  );
  decision.decide('out', decision.senderOf(out, HAM), HAM, scoresOf(-3), 0);
  expect(judge(decision, signed('joe@friend.example'))).toEqual({ action: 'none', reason: 'correspondent' });
  const text = decision.save();
  expect(text).not.toMatch(/joe|friend/);
  const again = newDecision({ ...SMALL, ...options });
  again.restore(text);
  expect(judge(again, signed('joe@friend.example')).action).toBe('none');
  const other = newDecision({ ...SMALL, ...options }, 'another key');
  other.restore(text);
  expect(judge(other, signed('joe@friend.example')).action).toBe('tag');
});

test('a million strangers neither grow the memory nor push a correspondent out', () => {
  const known = new Correspondents('secret');
  known.wroteTo(['joe@friend.example']);
  for (let i = 0; i < 1_000_000; i++) known.met(`e${i}`, `a${i}@evil${i}.example`);
  expect(known.knows('joe@friend.example')).toBe(true);
  for (let i = 0; i < 75_000; i++) known.labelled(`e${999_999 - i}`, 'ham');
  for (let i = 0; i < 75_000; i++) known.wroteTo([`b${i}@x.example`]);
  expect(known.knows('joe@friend.example')).toBe(false); // so many others were written to by people here
  known.wroteTo(['joe@friend.example']);
  for (let i = 0; i < 100_000; i++) known.met(`f${i}`, `a${i}@evil.example`);
  expect(known.knows('joe@friend.example')).toBe(true);
  const { known: names, waiting } = known.save();
  for (const kept of [names, waiting]) expect(kept.length).toBeLessThan(70_000);
});

// ---------------------------------------------------------------- options and cost

test('options that could never act, or would act on what anyone may forge, are refused by their name', () => {
  const refused: readonly (readonly [object, string])[] = [
    [{ tag: 0.5 }, 'tag'],
    [{ tag: 1e-4, window: 20_000 }, 'tag'],
    [{ hold: 0.01 }, 'hold'],
    [{ tag: 0.001, hold: 0.01 }, 'hold'],
    [{ correspondents: true }, 'correspondents'],
    [{ allow: ['a b'] }, 'allow.0'],
    [{ authserv: 'a;b' }, 'authserv'],
    [{ tags: 1 }, ''],
  ];
  for (const [given, place] of refused) {
    const parsed = decisionOptions.safeParse(given);
    if (place === '' && parsed.success) continue;
    expect(parsed.success ? [] : parsed.error.issues.map(({ path }) => path.join('.'))).toContain(place);
  }
  const defaults = decisionOptions.parse({});
  expect(resolveDecision(defaults, true, 2)).toMatchObject({ tag: 0.001, hold: null, window: 65_536 });
  expect(resolveDecision(defaults, true, 3)).toBe(null);
  expect(resolveDecision(defaults, false, 2)).toBe(null);
  expect(resolveDecision({ ...defaults, tag: 'off' }, true, 2)).toBe(null);
  expect(resolveDecision({ ...defaults, tag: 0.01 }, false, 2)).toMatchObject({ tag: 0.01 });
});

test('a verdict costs less than 1 us', () => {
  const decision = newDecision();
  confirm(decision, 1, 5_000);
  const scores = Float32Array.from({ length: 2_000 }, (_, i) => (i % 2 ? 0.9 : 0.1));
  const n = 1_000_000;
  const began = process.cpuUsage();
  for (let i = 0; i < n; i++) decision.decide('e', null, i & 1, scores, (i % 1_000) * 2);
  const { user, system } = process.cpuUsage(began);
  expect((user + system) / n).toBeLessThan(1);
});
