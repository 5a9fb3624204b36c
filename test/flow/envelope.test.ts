import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  deadData,
  decodeFeedback,
  Envelope,
  feedbackFromText,
  feedbackText,
  isoTime,
  type Verdict,
} from '../../src/envelope.ts';
import { SluiceError } from '../../src/errors.ts';

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const decode = (value: unknown) =>
  decodeFeedback(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), 1_000, digest);

const verdict = (id: string, device: string, label: number): Verdict => ({
  event: {
    id,
    device,
    weak: true,
    at: 1_000,
    aliases: [],
    body: { kind: 'reading', values: new Float64Array(), categories: [] },
  },
  labels: ['ham', 'spam'],
  label,
  score: 0.25,
  scores: Float32Array.of(0, 0, 0.75, 0.25),
  offset: 2,
  model: 'blank+7',
  backend: 'cpu',
  receivedAt: 2_000,
  decidedAt: 2_003.5,
});

test('a verdict is a CloudEvent with the fields of the interface, whatever its names contain', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (id, device) => {
      const event = JSON.parse(new Envelope('cloudevents', 'north', 'spam').verdict(verdict(id, device, 0)));
      expect(event).toMatchObject({
        specversion: '1.0',
        type: 'dev.sluice.verdict.v1',
        id,
        source: '/sluice/north/spam',
        subject: device,
      });
      expect(event.data).toMatchObject({
        event: id,
        device,
        label: 'ham',
        score: 0.25,
        scores: { ham: 0.75, spam: 0.25 },
        model: 'blank+7',
        backend: 'cpu',
        tookMs: 3.5,
        identity: 'weak',
      });
    }),
  );
});

test('while a task is learning its verdict has no label and says so', () => {
  const { data } = JSON.parse(new Envelope('cloudevents', 'n', 't').verdict(verdict('e', 'd', -1)));
  expect(data).toMatchObject({ label: null, state: 'learning' });
});

test('without an envelope the message is the bare data', () => {
  expect(JSON.parse(new Envelope('none', 'n', 't').verdict(verdict('e', 'd', 1)))).toMatchObject({
    event: 'e',
    label: 'spam',
  });
});

test('feedback is read bare, as a CloudEvent, and as an array of either', () => {
  const bare = { event: 'e1', label: 'spam', origin: 'user' };
  const target = { kind: 'name', name: 'e1' };
  expect(decode(bare)).toEqual([{ target, label: 'spam', origin: 'user', weight: 1, at: 1_000 }]);
  expect(decode({ specversion: '1.0', id: '1', source: 's', type: 't', data: bare })).toHaveLength(1);
  expect(decode([bare, { data: bare, specversion: '1.0' }])).toHaveLength(2);
});

test('feedback names events by id, Message-ID, raw message, or device and span', () => {
  const raw = Buffer.from('a mail');
  expect(decode({ messageId: ' <a@b> ', label: null })[0]).toMatchObject({
    target: { name: 'mid:a@b' },
    label: null,
  });
  expect(decode({ raw: raw.toString('base64'), label: 'ham' })[0].target).toEqual({
    kind: 'name',
    name: `raw:${digest(raw)}`,
  });
  expect(decode({ device: 'd', from: '1970-01-01T00:00:01Z', to: 5_000, label: 1 })[0]).toMatchObject({
    target: { kind: 'span', device: 'd', from: 1_000, to: 5_000 },
    label: '1',
  });
});

test('feedback that is not understood is FEEDBACK_INVALID, never another failure', () => {
  const bad = [
    '',
    '{',
    'null',
    '7',
    '"x"',
    '{}',
    { event: 'e' },
    { label: 'x' },
    { event: '', label: 'x' },
    { event: 'e', label: 'x', weight: -1 },
    { device: 'd', from: 'x', to: 'y', label: 'z' },
    { event: 'e', label: {} },
  ];
  for (const value of bad) {
    try {
      decode(value);
      expect.fail(`accepted ${JSON.stringify(value)}`);
    } catch (error) {
      expect(error, JSON.stringify(value)).toBeInstanceOf(SluiceError);
      expect((error as SluiceError).code).toBe('FEEDBACK_INVALID');
    }
  }
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        decode(text);
      } catch (error) {
        expect((error as SluiceError).code).toBe('FEEDBACK_INVALID');
      }
    }),
  );
});

test('feedback survives the waiting list', () => {
  const [one] = decode({ event: 'e', label: null, weight: 2 });
  expect(feedbackFromText(feedbackText(one))).toEqual(one);
});

test('a dead letter carries the whole original, or digest and first bytes where it would be too large', () => {
  const payload = Buffer.alloc(200_000, 1);
  const original = {
    source: 'plant',
    topic: 't',
    key: 'k',
    payload,
    headers: { a: 'b' },
    at: 1,
    position: '',
  };
  const error = { code: 'DECODE_JSON', message: 'not JSON' };
  const whole = deadData(original, error, 5, 1_048_576, digest, true);
  expect(Buffer.from(whole.payload!, 'base64').equals(payload)).toBe(true);
  expect(whole.truncated).toBeUndefined();
  const cut = deadData(original, error, 5, 150_000, digest, true);
  expect(cut).toMatchObject({ truncated: true, size: 200_000, digest: digest(payload) });
  expect(Buffer.from(cut.payload!, 'base64')).toHaveLength(65_536);
  expect(deadData(original, error, 5, 1_048_576, digest, false).payload).toBeUndefined();
});

test('times out of range are no failure', () => {
  expect(isoTime(0)).toBe('1970-01-01T00:00:00.000Z');
  expect(isoTime(Number.MAX_VALUE)).toBe('1970-01-01T00:00:00.000Z');
  expect(isoTime(Number.NaN)).toBe('1970-01-01T00:00:00.000Z');
});
