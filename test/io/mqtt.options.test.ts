/** What an MQTT configuration may say, and what is refused with which words. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { mqtt } from '../../src/io/mqtt.ts';

const source = { url: 'mqtt://host', topics: ['a/+/b', '#', '$share/g/a/#'] };

function complaint(schema: z.ZodType, value: unknown): string {
  const result = schema.safeParse(value);
  return result.success
    ? ''
    : result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n');
}

describe('the options of an MQTT source', () => {
  it('have defaults for everything but address and topics', () => {
    expect(mqtt.source.options.parse(source)).toMatchObject({
      url: ['mqtt://host'],
      qos: 1,
      version: 5,
      sessionExpiry: 604_800_000,
      keepalive: 30_000,
      reconnect: { min: 250, max: 30_000 },
    });
  });

  it('refuse QoS 2 with the reason', () => {
    expect(complaint(mqtt.source.options, { ...source, qos: 2 })).toMatch(
      /^qos: QoS 2 is not offered: .* crash/,
    );
    expect(complaint(mqtt.source.options, { ...source, qos: 3 })).toContain('must be 0 or 1');
  });

  it.each(['a/#/b', 'a+/b', 'a#', '', '$share/g', '$share//a', '$share/g+/a', 'a\0'])(
    'refuse the filter %j',
    (topic) => {
      expect(complaint(mqtt.source.options, { ...source, topics: [topic] })).toContain('topics.0: ');
    },
  );

  it.each(['host', 'http://host', 'mqtt//host', '', []])('refuse the address %j', (url) => {
    expect(complaint(mqtt.source.options, { ...source, url })).toContain('url');
  });

  it('refuse unknown keys and versions', () => {
    expect(complaint(mqtt.source.options, { ...source, topic: 'x' })).toContain('topic');
    expect(complaint(mqtt.source.options, { ...source, version: 3 })).toContain('version');
    expect(complaint(mqtt.source.options, { ...source, tls: { certificate: 'x' } })).toContain('certificate');
  });
});

describe('the options of an MQTT sink', () => {
  it('take QoS 0 to 2, sizes and times as people write them', () => {
    for (const qos of [0, 1, 2])
      expect(
        mqtt.sink.options.parse({ url: 'wss://h/mqtt', qos, maxMessageSize: '1MiB', publishTimeout: '3s' }),
      ).toMatchObject({ qos, maxMessageSize: 1_048_576, publishTimeout: 3_000 });
  });

  it('refuse wildcards where something is published', () => {
    expect(complaint(mqtt.sink.options, { url: 'mqtt://h', topics: { dead: 'a/#' } })).toContain(
      'topics.dead',
    );
    expect(complaint(mqtt.sink.options, { url: 'mqtt://h', will: { topic: '+', payload: '' } })).toContain(
      'will.topic',
    );
  });
});

describe('the JSON schema of MQTT', () => {
  it.each([mqtt.source.options, mqtt.sink.options])('describes every option', (options) => {
    const schema = z.toJSONSchema(options, { io: 'input' });
    for (const [name, property] of Object.entries(schema.properties ?? {}))
      expect([name, (property as { description?: string }).description]).toEqual([
        name,
        expect.stringMatching(/\w{2}/),
      ]);
  });
});
