import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hideUrlUser } from '../../src/config/secrets.ts';
import { nearest } from '../../src/config/suggest.ts';
import { hideSecrets, parseConfig } from '../../src/config.ts';

const text = (secret: string) => `
site: a
sources:
  mail: { type: kafka, brokers: ["k:9092"], topics: [t], sasl: { mechanism: plain, username: u, password: ${secret} } }
tasks:
  spam: { from: [mail], event: email, labels: [ham, spam] }
sinks:
  core: { type: mqtt, url: ["mqtt://u:p-${secret}@h", "mqtt://h2"], password: ${secret}, tls: { passphrase: ${secret} } }
http: { token: ${secret} }
privacy: { key: ${secret} }
`;

describe('what is shown of a configuration', () => {
  it('holds no secret: not where the schema says so, not in URLs, not in what was made of it', () => {
    const secret = 'sesame-open-0123456789';
    const config = parseConfig(text(secret), 'f.yaml', { env: {} });
    expect(JSON.stringify(config.tasks.spam.features)).toContain(secret);
    const shown = JSON.stringify(hideSecrets(config));
    expect(shown).not.toContain('sesame');
    expect(shown).toContain('"brokers":["k:9092"]');
    expect(shown).toContain('mqtt://***@h');
    expect(shown).toContain('"username":"u"');
  });

  it('leaves the configuration itself as it was', () => {
    const config = parseConfig(text('sesame-open-0123456789'), 'f.yaml', { env: {} });
    const before = structuredClone(config);
    hideSecrets(config);
    expect(config).toEqual(before);
  });

  it.each([
    ['mqtt://u:p@h:1/x', 'mqtt://***@h:1/x'],
    ['mqtt://u:p@ss@h', 'mqtt://***@h'],
    ['see wss://u@h and mqtt://x:y@z.', 'see wss://***@h and mqtt://***@z.'],
    ['mqtt://h/a@b', 'mqtt://h/a@b'],
    ['jane@example.org', 'jane@example.org'],
  ])('user and password in %s are hidden', (url, expected) => {
    expect(hideUrlUser(url)).toBe(expected);
  });
});

describe('a configuration that cannot be used', () => {
  it('is one error that names every problem', () => {
    const bad = text('sesame-open-0123456789')
      .replace('labels: [ham, spam]', 'labels: [ham]')
      .replace('site: a', 'site: ""');
    expect(() => parseConfig(bad, 'f.yaml', { env: {} })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        exit: 78,
        message: expect.stringMatching(
          /^f\.yaml has 2 problems\nf\.yaml:2:7 site: .*\nf\.yaml:6:47 tasks\.spam\.labels: .*$/,
        ),
      }),
    );
  });

  it('is refused, never crashed on, whatever the text', () => {
    const pieces = [
      'site',
      ':',
      ' ',
      '\n',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '&a',
      '*a',
      '|',
      '>',
      '#',
      '?',
      '!',
      '%',
      '@',
      '0',
      '~',
      '\t',
      '\u0000',
      '${',
      '}',
      'sources',
      'tasks',
      'é',
    ];
    const textOf = fc.array(fc.constantFrom(...pieces), { maxLength: 40 }).map((p) => p.join(''));
    fc.assert(
      fc.property(fc.oneof(textOf, fc.string({ unit: 'binary' })), (broken) => {
        expect(() => parseConfig(broken, 'f.yaml', { env: {} })).toThrow(
          expect.objectContaining({ code: 'CONFIG_INVALID' }),
        );
      }),
      { seed: 4, numRuns: 150 },
    );
  });
});

describe('did you mean', () => {
  it.each([
    ['lables', 'labels'],
    ['max_in_flight', 'maxInFlight'],
    ['MaxInFlight', 'maxInFlight'],
    ['sitee', 'site'],
    ['sit', 'site'],
    ['tie', null],
    ['frobnicate', null],
    ['', null],
  ])('%j: %j', (word, expected) => {
    expect(nearest(word, ['site', 'labels', 'maxInFlight', 'tasks'])).toBe(expected);
  });

  it.each([
    ['offline', ['online', 'frozen'], null],
    ['onlin', ['online', 'frozen'], 'online'],
    ['3', ['0', '1', '2'], null],
    ['v4', ['4', '5'], null],
    ['qso', ['qos', 'url'], 'qos'],
  ])('%j of %j: %j; a short or far word is meant as it stands', (word, allowed, expected) => {
    expect(nearest(word, allowed)).toBe(expected);
  });
});
