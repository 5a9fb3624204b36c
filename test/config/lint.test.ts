// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment are what this file is about
import { describe, expect, it } from 'vitest';
import { lintText } from '../../src/config/lint.ts';
import { showProblem } from '../../src/config/problems.ts';
import { good, schema } from './tables.ts';

function lint(text: string, options: { set?: string[]; env?: Record<string, string> } = {}): string[] {
  return lintText(schema, text, 'f.yaml', { env: {}, ...options }).problems.map(showProblem);
}

/** `good` with one exact piece replaced. */
function with_(from: string, to: string): string {
  if (!good.includes(from)) throw new Error(`the good configuration has no ${from}`);
  return good.replace(from, to);
}

describe('a good configuration', () => {
  it('is parsed with every default filled in, durations in ms and sizes in bytes', () => {
    const { value, problems } = lintText(schema, good, 'f.yaml', { env: {} });
    expect(problems).toEqual([]);
    expect(value).toMatchObject({
      site: 'north-gate',
      group: 'default',
      http: { listen: { host: '127.0.0.1', port: 8088 } },
      monitor: { window: 10_000 },
      maxInFlight: 4_096,
      maxInFlightBytes: 64 * 1024 ** 2,
      batch: { size: 256 },
      privacy: { show: false },
      store: { path: './state' },
      sources: { plant: { type: 'mqtt', qos: 1, wait: 10_000 } },
      sinks: {
        core: { publish: { kind: 'all' }, batch: 1, envelope: 'cloudevents', maxMessageBytes: 1_048_576 },
      },
    });
  });

  it('gives each task its parts as kind and options, with the fields at the decoder', () => {
    const { value } = lintText(schema, good, 'f.yaml', { env: {} });
    expect(value?.tasks.spam).toMatchObject({
      learning: 'online',
      minLabels: 50,
      minPerLabel: 5,
      decode: { kind: 'mime', options: { maxParts: 1000 } },
      features: { options: { bits: 20 } },
    });
    // What fits the rows is chosen when the task is opened.
    expect(value?.tasks.spam).not.toHaveProperty('model');
    expect(value?.tasks.machine).toMatchObject({
      decode: {
        kind: 'json',
        options: { fields: { t: { pointer: '/t', type: 'number' } }, maxBytes: 1_048_576 },
      },
      model: { kind: 'forest', options: { trees: 3 } },
    });
  });

  it('hands the fleet key to features that hash, and to no others', () => {
    const { value } = lintText(schema, `${good}privacy: { key: 0123456789abcdef }\n`, 'f.yaml', { env: {} });
    expect(value?.tasks.spam.features.options).toMatchObject({ key: '0123456789abcdef' });
    expect(value?.tasks.machine.features.options).not.toHaveProperty('key');
  });

  it.each([
    ['publish: all', { kind: 'all' }],
    ['publish: changes', { kind: 'changes' }],
    ['publish: every:10s', { kind: 'every', ms: 10_000 }],
  ])('understands %s', (option, expected) => {
    const { value } = lintText(schema, `${good}    ${option}\n`, 'f.yaml', { env: {} });
    expect(value?.sinks.core.publish).toEqual(expected);
  });

  it('understands an alarm budget', () => {
    const { value } = lintText(schema, `${good}monitor: { budget: 2 per week }\n`, 'f.yaml', { env: {} });
    expect(value?.monitor.budget).toEqual({ alarms: 2, perMs: 604_800_000 });
  });

  it('may use anchors and aliases for whole values', () => {
    const text = good.replace('topics: [mail/in]', 'topics: &t [mail/in]').replace('["plant/+"]', '*t');
    const { value } = lintText(schema, text, 'f.yaml', { env: {} });
    expect(value?.sources.plant).toMatchObject({ topics: ['mail/in'] });
  });
});

describe('a bad configuration is refused at the exact place', () => {
  it.each([
    [
      'an unknown option with a near word',
      with_('qos: 1', 'qso: 1'),
      'f.yaml:8:5 sources.plant.qso: unknown option; did you mean "qos"? (known here: type, url, password, wait, topics, qos, session, clean)',
    ],
    [
      'an unknown option at the top',
      `${good}stroe: {}\n`,
      'f.yaml:25:1 stroe: unknown option; did you mean "store"? (known here: site, sources, tasks, sinks, group, models, hub, store, http, monitor, maxInFlight, maxInFlightBytes, batch, workers, privacy, seed)',
    ],
    [
      'a sink option in a source',
      with_('qos: 1', 'batch: 5'),
      'f.yaml:8:5 sources.plant.batch: unknown option (known here: type, url, password, wait, topics, qos, session, clean)',
    ],
    [
      'a wrong type of source',
      with_(
        'type: mqtt\n    url: mqtt://broker\n    topics',
        'type: mqqt\n    url: mqtt://broker\n    topics',
      ),
      'f.yaml:5:11 sources.plant.type: must be one of mqtt, files; did you mean "mqtt"?',
    ],
    [
      'no type at all',
      with_('    type: mqtt\n    url: mqtt://broker\n    topics', '    url: mqtt://broker\n    topics'),
      'f.yaml:4:3 sources.plant.type: is missing (one of mqtt, files)',
    ],
    [
      'a transport that cannot be a sink',
      with_('core:\n    type: mqtt', 'core:\n    type: files'),
      'f.yaml:23:11 sinks.core.type: must be mqtt',
    ],
    [
      'a missing option',
      with_('    url: mqtt://broker\n    topics', '    topics'),
      'f.yaml:4:3 sources.plant.url: is missing (text)',
    ],
    [
      'a number where text is wanted',
      with_('labels: [ok, fault]', 'labels: [0, b]'),
      'f.yaml:19:14 tasks.machine.labels[0]: must be text, not a number; put it in quotes',
    ],
    [
      'text where a number is wanted',
      `${good}maxInFlight: many\n`,
      'f.yaml:25:14 maxInFlight: must be a number, not text',
    ],
    [
      'a fraction where a whole number is wanted',
      `${good}maxInFlight: 1.5\n`,
      'f.yaml:25:14 maxInFlight: must be a whole number, not a number',
    ],
    ['a number out of range', `${good}batch: { size: 0 }\n`, 'f.yaml:25:16 batch.size: must be at least 1'],
    [
      'a bad duration',
      `${good}monitor: { window: 5 minutes }\n`,
      'f.yaml:25:20 monitor.window: not a duration; write 500ms, 10s, 5m, 2h or 7d',
    ],
    [
      'a bad size',
      `${good}maxInFlightBytes: 64 MiBs\n`,
      'f.yaml:25:19 maxInFlightBytes: not a size; write 300kB, 64MiB or 1GiB',
    ],
    [
      'a list where a duration is wanted',
      `${good}monitor: { window: [] }\n`,
      'f.yaml:25:20 monitor.window: must be a number or text, not a list',
    ],
    [
      'a bad address',
      `${good}http: { listen: 127.0.0.1 }\n`,
      'f.yaml:25:17 http.listen: is not an address; write HOST:PORT, as in 127.0.0.1:8088 or [::1]:8088',
    ],
    [
      'a bad publishing rule',
      `${good}    publish: sometimes\n`,
      'f.yaml:25:14 sinks.core.publish: must be one of all, changes, every:DURATION (as in every:10s)',
    ],
    ['an empty section', `${good}http:\n`, 'f.yaml:25:1 http: has no value (a section of options)'],
    [
      'QoS 2 in a source, with the reason',
      with_('qos: 1', 'qos: 2'),
      'f.yaml:8:10 sources.plant.qos: QoS 2 is not offered: it loses',
    ],
    [
      'a name that topics cannot carry',
      with_('site: north-gate', 'site: north/gate'),
      'f.yaml:1:7 site: use letters, digits, - and _, at most 64, beginning with a letter or digit',
    ],
    [
      'a task name that topics cannot carry',
      with_('  spam:\n', '  "spam #1":\n'),
      'f.yaml:10:3 tasks."spam #1": is not a usable name: use letters, digits, - and _, at most 64, beginning with a letter or digit',
    ],
    [
      'a source that does not exist',
      with_('from: [mail]', 'from: [mial]'),
      'f.yaml:11:12 tasks.spam.from[0]: there is no source named "mial"; did you mean "mail"? (there are: mail, plant)',
    ],
    [
      'a sink that does not exist',
      with_('event: email', 'event: email\n    feedback: [cor]'),
      'f.yaml:13:16 tasks.spam.feedback[0]: there is no sink named "cor"; did you mean "core"? (there is: core)',
    ],
    [
      'a task that does not exist',
      `${good}    tasks: [spam, machine, ghost]\n`,
      'f.yaml:25:28 sinks.core.tasks[2]: there is no task named "ghost" (there are: spam, machine)',
    ],
    [
      'a task without a sink',
      `${good}    tasks: [spam]\n`,
      'f.yaml:14:3 tasks.machine: no sink takes the verdicts of this task; add "machine" to the `tasks` of a sink',
    ],
    [
      'a label given twice',
      with_('[ham, spam]', '[ham, spam, ham]'),
      'f.yaml:13:25 tasks.spam.labels[2]: the label "ham" is given twice',
    ],
    [
      'a single label',
      with_('[ham, spam]', '[ham]'),
      'f.yaml:13:13 tasks.spam.labels: must have at least 2 labels: a verdict is a choice',
    ],
    [
      'a positive label that is none',
      with_('[ham, spam]', '[ham, spam]\n    positive: spma'),
      'f.yaml:14:15 tasks.spam.positive: must be one of the labels: ham, spam; did you mean "spam"?',
    ],
    [
      'a sensor task without fields',
      with_('    fields:\n      t: { pointer: /t, type: number }\n', ''),
      'f.yaml:14:3 tasks.machine.fields: is missing (a section of names)',
    ],
    [
      'fields inside decode',
      with_('event: sensor', 'event: sensor\n    decode: { kind: json, fields: {} }'),
      'f.yaml:17:27 tasks.machine.decode.fields: unknown option (known here: kind, maxBytes)',
    ],
    [
      'an unknown wire format',
      with_('event: sensor', 'event: sensor\n    decode: jsn'),
      'f.yaml:17:13 tasks.machine.decode: must be json',
    ],
    [
      'an unknown model',
      with_('kind: forest, trees: 3', 'kind: forrest, trees: 3'),
      'f.yaml:20:20 tasks.machine.model.kind: must be one of linear, forest; did you mean "forest"?',
    ],
    [
      'an option of another model',
      with_('kind: forest, trees: 3', 'kind: forest, rate: 3'),
      'f.yaml:20:28 tasks.machine.model.rate: unknown option (known here: kind, trees)',
    ],
    [
      'two sources with one session',
      with_('topics: [mail/in]', 'topics: [mail/in], session: s')
        .replace('qos: 1', 'session: s')
        .replace('"mqtt://broker"', 'mqtt://broker'),
      'f.yaml:8:14 sources.plant.session: its client id "s" is also that of sources.mail on the same broker; each would disconnect the other',
    ],
    [
      'a sink with the session of a source',
      with_('qos: 1', 'session: s').replace(
        /url: mqtt:\/\/broker\n$/,
        'url: mqtt://broker:1883\n    session: s\n',
      ),
      'f.yaml:25:14 sinks.core.session: its client id "s" is also that of sources.plant on the same broker; each would disconnect the other',
    ],
    [
      'a source that takes the name of a sink',
      good.replace(/\bcore\b/, 'mail'),
      'f.yaml:22:3 sinks.mail: its client id "sluice-north-gate-mail" is also that of sources.mail on the same broker; each would disconnect the other; give one of them a `session`',
    ],
    [
      'a source with the client id of a feedback',
      with_('qos: 1', 'session: s-core-spam-feedback').replace(
        /url: mqtt:\/\/broker\n$/,
        'url: mqtt://broker\n    session: s\n',
      ),
      'f.yaml:25:14 sinks.core.session: the client id of its feedback for spam "s-core-spam-feedback" is also that of sources.plant on the same broker; each would disconnect the other',
    ],
    [
      'a hub on the broker of a sink that is not there',
      `${good}hub: { via: flor }\n`,
      'f.yaml:25:13 hub.via: there is no sink named "flor" (there is: core)',
    ],
    [
      'models that pass by a sink that is not there',
      `${good}models: { via: nowhere }\n`,
      'f.yaml:25:16 models.via: there is no sink named "nowhere" (there is: core)',
    ],
    [
      'dead letters to be encrypted without a key',
      `${good}store: { dead: { keep: encrypted } }\n`,
      'f.yaml:25:24 store.dead.keep: needs `privacy.key`, the key under which dead letters are encrypted; without it nobody could read them again',
    ],
    [
      'a short token',
      `${good}http: { token: short }\n`,
      'f.yaml:25:16 http.token: must have at least 16 characters; `openssl rand -hex 24` makes one',
    ],
    ['an empty file', '', 'f.yaml:1:1 configuration: is empty; a smallest example is in docs/config.md'],
    [
      'only a comment',
      '# nothing\n',
      'f.yaml:1:1 configuration: is empty; a smallest example is in docs/config.md',
    ],
    ['a list', '- a\n', 'f.yaml:1:1 configuration: must be a map of options such as `site: north-gate`'],
    [
      'a key given twice',
      `${good}site: b\n`,
      'f.yaml:25:1 configuration: the same key is given twice in this section',
    ],
    [
      'a tab',
      'site: a\nsources:\n\tmail: 1\n',
      'f.yaml:3:1 configuration: a tab is used for indentation; YAML wants spaces',
    ],
    [
      'a tag',
      with_('site: north-gate', 'site: !!js/function "x"'),
      'f.yaml:1:7 configuration: YAML tags (!…) are not supported; if it is text, put it in quotes',
    ],
    [
      'two documents',
      `${good}---\nsite: b\n`,
      'f.yaml:25:1 configuration: the file holds several YAML documents (---); only one is read',
    ],
    [
      'a merge key',
      `${good}http:\n  <<: { listen: "127.0.0.1:1" }\n`,
      'f.yaml:26:3 http."<<": merge keys are not supported; repeat the options, or use an alias for a whole section',
    ],
    ['__proto__', `${good}__proto__: { a: 1 }\n`, 'f.yaml:25:1 __proto__: is not allowed as a name'],
    [
      '__proto__ as the name of a source',
      with_('  plant:\n', '  __proto__:\n').replace('from: [plant]', 'from: [mail]'),
      'f.yaml:4:3 sources.__proto__: is not allowed as a name',
    ],
    [
      'an alias to nothing',
      with_('[mail/in]', '*nowhere'),
      'f.yaml:3:67 sources.mail.topics: *nowhere refers to nothing; an anchor &nowhere must stand before it',
    ],
  ])('%s', (_, text, expected) => {
    expect(lint(text)).toEqual([expected]);
  });

  it('names all problems at once, in the order of the file', () => {
    const text = with_('qos: 1', 'qos: 7')
      .replace('[ham, spam]', '[ham]')
      .replace('site: north-gate', 'site: "a b"');
    expect(lint(text).map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'f.yaml:1:7 site:',
      'f.yaml:8:10 sources.plant.qos:',
      'f.yaml:13:13 tasks.spam.labels:',
    ]);
  });

  it('says what is missing in a file that has nearly nothing', () => {
    expect(lint('site: a\n')).toEqual([
      'f.yaml:1:1 sources: is missing (a section of names)',
      'f.yaml:1:1 sinks: is missing (a section of names)',
      'f.yaml:1:1 tasks: is missing (a section of names)',
    ]);
  });

  it('survives a bomb of aliases, deep nesting and a huge file', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
      .split('')
      .map((c, i) => `${c}: &${c} [${`*${'abcdefgh'[i]},`.repeat(10).slice(0, -1)}]\n`)
      .join('')}`;
    expect(lint(bomb).join('\n')).toContain('repeats too much through aliases');
    expect(lint(`site: ${'['.repeat(200)}${']'.repeat(200)}\n`).join('\n')).toContain(
      'deeper than 32 levels',
    );
    expect(lint(`site: a\n${'#'.repeat(1024 ** 2)}`)).toEqual([
      'f.yaml:1:1 configuration: is larger than 1 MiB; a configuration is a short text',
    ]);
  });

  it('warns, without refusing, about a source that no task reads', () => {
    const { value, problems } = lintText(schema, with_('from: [plant]', 'from: [mail]'), 'f.yaml', {
      env: {},
    });
    expect(value).not.toBeNull();
    expect(problems.map(showProblem)).toEqual([
      'f.yaml:4:3 warning: sources.plant: no task reads this source; its messages are acknowledged and dropped',
    ]);
  });
});
