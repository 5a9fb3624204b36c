import { describe, expect, it } from 'vitest';
import { readAnswers } from '../../firmware-sim/answers.ts';
import { digestIdentity, identityOf } from '../../firmware-sim/identity.ts';
import { LabelDesk } from '../../firmware-sim/labels.ts';
import { Ledger } from '../../firmware-sim/ledger.ts';
import { Random } from '../../firmware-sim/random.ts';

const books = () => new Ledger(['ok', 'fault']);
const idOf = (n: number) => digestIdentity('t', null, `message ${n}`);

describe('the ledger', () => {
  it('counts as outstanding what the broker confirmed and nobody answered', () => {
    const ledger = books();
    const slots = [0, 1, 2].map((n) => ledger.send(idOf(n), 0, true, 0));
    expect(ledger.counts().outstanding).toBe(0);
    ledger.confirm(slots[0]);
    ledger.confirm(slots[1]);
    ledger.refuse(slots[2]);
    ledger.verdict(idOf(0), 'ok', 5);
    expect(ledger.counts()).toMatchObject({ sent: 3, confirmed: 2, verdicts: 1, outstanding: 1 });
  });

  it('takes an answer that comes before the confirmation', () => {
    const ledger = books();
    const slot = ledger.send(idOf(1), 0, true, 0);
    expect(ledger.verdict(idOf(1), 'ok', 5).kind).toBe('first');
    ledger.confirm(slot);
    expect(ledger.counts()).toMatchObject({ confirmed: 1, outstanding: 0, duplicates: 0 });
    expect(ledger.open).toBe(0);
  });

  it('tells a duplicate from a stranger', () => {
    const ledger = books();
    ledger.confirm(ledger.send(idOf(1), 0, true, 0));
    expect(ledger.verdict(idOf(1), 'ok', 5).kind).toBe('first');
    expect(ledger.verdict(idOf(1), 'ok', 6).kind).toBe('duplicate');
    expect(ledger.verdict(idOf(2), 'ok', 6).kind).toBe('foreign');
    expect(ledger.counts()).toMatchObject({ verdicts: 1, duplicates: 1, foreign: 1 });
  });

  it('wants two answers for two messages of the same bytes', () => {
    const ledger = books();
    for (const slot of [ledger.send(idOf(1), 0, true, 0), ledger.send(idOf(1), 0, true, 1)])
      ledger.confirm(slot);
    ledger.verdict(idOf(1), 'ok', 5);
    expect(ledger.counts()).toMatchObject({ verdicts: 1, duplicates: 0, outstanding: 1 });
    ledger.verdict(idOf(1), 'ok', 6);
    expect(ledger.counts()).toMatchObject({ verdicts: 2, duplicates: 0, outstanding: 0 });
    ledger.verdict(idOf(1), 'ok', 7);
    expect(ledger.counts().duplicates).toBe(1);
  });

  it('judges labels by the truth, and not while the task is learning', () => {
    const ledger = books();
    const labels = [null, 'ok', 'fault', 'fault', 'ok'];
    labels.forEach((label, n) => {
      ledger.confirm(ledger.send(idOf(n), n === 4 ? -1 : 1, true, 0));
      ledger.verdict(idOf(n), label, 1);
    });
    expect(ledger.counts()).toMatchObject({ verdicts: 5, learning: 1, tested: 3, correct: 2 });
    expect(ledger.counts().accuracy).toBeCloseTo(2 / 3);
    expect(ledger.counts().recentAccuracy).toBeCloseTo(2 / 3);
  });

  it('marks dead letters of readable messages as unexpected', () => {
    const ledger = books();
    ledger.confirm(ledger.send(idOf(1), 0, true, 0));
    ledger.confirm(ledger.send(idOf(2), -1, false, 0));
    ledger.deadLetter(idOf(1), 1);
    ledger.deadLetter(idOf(2), 1);
    ledger.deadLetter(idOf(3), 1);
    expect(ledger.counts()).toMatchObject({ deadLetters: 2, deadUnexpected: 1, foreign: 1, outstanding: 0 });
  });

  it('agrees with a plain count over any order of sending, confirming and answering', () => {
    const random = new Random(3);
    const ledger = books();
    const open: { id: string; slot: number; confirmed: boolean }[] = [];
    const waiting: number[] = [];
    let confirmed = 0;
    let answers = 0;
    for (let step = 0; step < 20_000; step++) {
      const dice = random.next();
      if (dice < 0.4) {
        const id = idOf(random.below(3_000));
        const slot = ledger.send(id, 0, true, step);
        open.push({ id, slot, confirmed: false });
        waiting.push(slot);
      } else if (dice < 0.7 && waiting.length > 0) {
        const [slot] = waiting.splice(random.below(waiting.length), 1);
        ledger.confirm(slot);
        confirmed += 1;
        const held = open.find((o) => o.slot === slot);
        if (held) held.confirmed = true;
      } else if (open.length > 0) {
        // Answers meet the oldest message of their identity.
        const { id } = open[random.below(open.length)];
        open.splice(
          open.findIndex((o) => o.id === id),
          1,
        );
        expect(ledger.verdict(id, 'ok', step).kind).toBe('first');
        answers += 1;
      }
    }
    const outstanding = open.filter((o) => o.confirmed).length;
    expect(ledger.counts()).toMatchObject({
      confirmed,
      verdicts: answers,
      outstanding,
      duplicates: 0,
      foreign: 0,
    });
  });

  it('does not grow with what is answered', () => {
    const ledger = books();
    for (let n = 0; n < 200_000; n++) {
      ledger.confirm(ledger.send(`/plant/a/${n}`, 0, true, n));
      ledger.verdict(`/plant/a/${n}`, 'ok', n + 1);
    }
    expect(ledger.open).toBe(0);
    expect(ledger.counts()).toMatchObject({ verdicts: 200_000, duplicates: 0, foreign: 0 });
    expect(ledger.verdict('/plant/a/199999', 'ok', 0).kind).toBe('duplicate');
    expect(ledger.verdict('/plant/a/5', 'ok', 0).kind).toBe('foreign');
  });
});

describe('identities', () => {
  it('are SHA-256 over topic, NUL, key, NUL, payload', () => {
    // printf 'a/b\0k\0{}' | sha256sum
    expect(digestIdentity('a/b', 'k', '{}')).toBe('sha256:8c1cc10c8a171851f535265cbc00efef');
    expect(digestIdentity('a/b', 'k', Buffer.from('{}'))).toBe(digestIdentity('a/b', 'k', '{}'));
    expect(digestIdentity('a/b', null, '{}')).not.toBe(digestIdentity('a/b', 'k', '{}'));
    const large = 'ü'.repeat(200_000);
    expect(digestIdentity('t', null, large)).toBe(digestIdentity('t', null, Buffer.from(large)));
  });

  it('are source and id of a CloudEvent, in headers or in the payload', () => {
    const payload = '{"specversion":"1.0","source":"/plant/a","id":"7","data":{}}';
    expect(identityOf({ topic: 't', key: null, payload })).toBe('/plant/a/7');
    const headers = { ce_source: '/s', ce_id: '1' };
    expect(identityOf({ topic: 't', key: null, payload, headers })).toBe('/s/1');
    const cut = payload.slice(0, 30);
    expect(identityOf({ topic: 't', key: null, payload: cut })).toBe(digestIdentity('t', null, cut));
  });
});

describe('answers', () => {
  const read = (value: unknown, what: 'verdict' | 'dead' = 'verdict') =>
    readAnswers(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), what);

  it('are read bare, as CloudEvent, and several in an array', () => {
    const answer = { event: 'e', label: 'ok', site: null };
    expect(read(answer)).toEqual([answer]);
    expect(read({ specversion: '1.0', data: answer })).toEqual([answer]);
    expect(
      read([
        { specversion: '1.0', data: answer, source: '/sluice/north/machine' },
        { event: 'f', label: null },
      ]),
    ).toEqual([
      { ...answer, site: 'north' },
      { event: 'f', label: null, site: null },
    ]);
  });

  it('that make no sense are null and nothing worse', () => {
    for (const bad of [
      '',
      '{',
      'null',
      '3',
      '[]x',
      { event: 3, label: 'ok' },
      { event: 'e' },
      { specversion: '1.0' },
    ])
      expect(read(bad)).toEqual([null]);
    expect(read([null, 4])).toEqual([null, null]);
    expect(read({ topic: 't' }, 'dead')).toEqual([null]);
    expect(read({ topic: 't', payload: 'AAAA', truncated: true }, 'dead')).toEqual([null]);
  });

  it('about dead letters name the message by its whole original', () => {
    const payload = Buffer.from('{"broken');
    const letter = {
      topic: 'plant/a/telemetry',
      key: null,
      headers: {},
      payload: payload.toString('base64'),
    };
    expect(read(letter, 'dead')).toEqual([
      { event: digestIdentity('plant/a/telemetry', null, payload), label: null, site: null },
    ]);
    expect(read({ ...letter, event: 'x' }, 'dead')).toEqual([{ event: 'x', label: null, site: null }]);
  });
});

describe('delayed labels', () => {
  const plan = { delay: 1_000, fraction: 0.3, wrong: 0.1 };

  it('depend on seed and number of the event, not on the order of the verdicts', () => {
    const order = Array.from({ length: 2_000 }, (_, n) => n);
    const given = (numbers: readonly number[]) => {
      const desk = new LabelDesk(plan, ['ok', 'fault'], 9);
      for (const n of numbers) desk.see(`e${n}`, n, n % 2, 0);
      return desk
        .take(1e9)
        .map(({ event, label }) => `${event} ${label}`)
        .sort();
    };
    expect(given(new Random(1).shuffled(order))).toEqual(given(order));
  });

  it('come in the stated share, wrong in the stated share', () => {
    const desk = new LabelDesk(plan, ['ok', 'fault'], 4);
    for (let n = 0; n < 20_000; n++) desk.see(`e${n}`, n, 0, 0);
    const labels = desk.take(1e9);
    expect(Math.abs(labels.length / 20_000 - 0.3)).toBeLessThan(0.015);
    expect(
      Math.abs(labels.filter(({ label }) => label === 'fault').length / labels.length - 0.1),
    ).toBeLessThan(0.02);
    expect(desk.waiting).toBe(0);
  });

  it('come between half and one and a half times the delay, never before', () => {
    const desk = new LabelDesk({ ...plan, fraction: 1 }, ['ok', 'fault'], 4);
    for (let n = 0; n < 500; n++) desk.see(`e${n}`, n, 0, 10_000);
    expect(desk.take(10_499)).toHaveLength(0);
    const early = desk.take(11_000).length;
    expect(early).toBeGreaterThan(150);
    expect(early + desk.take(11_600).length).toBe(500);
  });

  it('are not given where there is no truth, and at once where the delay is 0', () => {
    const desk = new LabelDesk({ delay: 0, fraction: 1, wrong: 0 }, ['ok', 'fault'], 4);
    desk.see('a', 0, -1, 1_000);
    desk.see('b', 1, 1, 1_000);
    expect(desk.take(1_000)).toEqual([{ event: 'b', label: 'fault' }]);
  });
});
