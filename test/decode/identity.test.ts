import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { deviceOf, deviceOptions, identify } from '../../src/decode/identity.ts';
import { compilePointer, pointerTo, readPointer } from '../../src/decode/pointer.ts';
import { messageOf } from './corpus.ts';

const digestOf = (...parts: (string | Uint8Array)[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return `sha256:${hash.digest('hex').slice(0, 32)}`;
};

describe('identity', () => {
  test('CloudEvents source and id go first, from either spelling of the header', () => {
    const spellings: Record<string, string>[] = [
      { ce_source: 's', ce_id: 'i' },
      { 'ce-source': 's', 'ce-id': 'i' },
    ];
    for (const headers of spellings)
      expect(identify(messageOf('x', { headers, position: 'a/0/1' }))).toEqual({ id: 's/i', weak: false });
    expect(identify(messageOf('x', { headers: { ce_source: 's' }, position: 'a/0/1' })).id).toBe('a/0/1');
  });

  test('then the position', () => {
    expect(identify(messageOf('x', { position: 'a/0/1' }))).toEqual({ id: 'a/0/1', weak: false });
  });

  test('then a digest over topic, NUL, key, NUL and payload, marked weak', () => {
    expect(identify(messageOf('payload', { topic: 'töpic', key: 'kéy' }))).toEqual({
      id: digestOf('töpic\0kéy\0payload'),
      weak: true,
    });
    expect(identify(messageOf('payload', { topic: 't' })).id).toBe(digestOf('t\0\0payload'));
  });

  test('the digest does not depend on the way it is computed, small or large', () => {
    for (const size of [0, 1, 65_000, 65_533, 65_536, 200_000]) {
      const payload = Buffer.alloc(size, 7);
      expect(identify(messageOf(payload, { topic: 't' })).id).toBe(digestOf('t\0\0', payload));
    }
  });
});

describe('device', () => {
  const message = messageOf('x', { topic: 'plant/press-07/telemetry', key: 'k', headers: { unit: 'u7' } });
  test.each([
    [{ header: 'Unit' }, 'u7'],
    [{ header: 'absent' }, 'k'],
    [{ topicLevel: 1 }, 'press-07'],
    [{ topicLevel: -2 }, 'press-07'],
    [{ topicLevel: 9 }, 'k'],
    [{ header: 'absent', topicLevel: 0 }, 'plant'],
  ])('%j', (options, device) => {
    expect(deviceOf(message, deviceOptions.parse(options))).toBe(device);
  });

  test('is the Kafka key, else the topic, where nothing is configured', () => {
    expect(deviceOf(message, undefined)).toBe('k');
    expect(deviceOf(messageOf('x', { topic: 't' }), undefined)).toBe('t');
  });

  test('may stand in the reading, as text or number', () => {
    expect(deviceOf(message, undefined, { d: 'x' }, ['d'])).toBe('x');
    expect(deviceOf(message, undefined, { d: 7 }, ['d'])).toBe('7');
    expect(deviceOf(message, undefined, { d: {} }, ['d'])).toBe('k');
  });
});

describe('JSON Pointer', () => {
  // The examples of RFC 6901 section 5.
  const document = {
    foo: ['bar', 'baz'],
    '': 0,
    'a/b': 1,
    'c%d': 2,
    'e^f': 3,
    'g|h': 4,
    'i\\j': 5,
    'k"l': 6,
    ' ': 7,
    'm~n': 8,
  };
  test.each<[string, unknown]>([
    ['', document],
    ['/foo', document.foo],
    ['/foo/0', 'bar'],
    ['/', 0],
    ['/a~1b', 1],
    ['/c%d', 2],
    ['/e^f', 3],
    ['/g|h', 4],
    ['/i\\j', 5],
    ['/k"l', 6],
    ['/ ', 7],
    ['/m~0n', 8],
    ['/foo/2', undefined],
    ['/foo/-', undefined],
    ['/foo/00', undefined],
    ['/foo/length', undefined],
    ['/toString', undefined],
  ])('%s', (pointer, value) => {
    expect(readPointer(document, compilePointer(pointer))).toEqual(value);
  });

  test('any name can be pointed to', () => {
    for (const name of ['a/b', 'm~n', '~1', '/']) expect(compilePointer(pointerTo(name))).toEqual([name]);
  });
});
