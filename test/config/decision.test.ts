import { expect, it } from 'vitest';
import { taskSpec } from '../../src/app/spec.ts';
import { lintText } from '../../src/config/lint.ts';
import { showProblem } from '../../src/config/problems.ts';
import { configSchema, parseConfig } from '../../src/config.ts';
import { openTask } from '../../src/task/task.ts';

const text = (decision: string, labels = '[ham, spam]') => `site: s
sources: { in: { type: memory, channel: c, topics: [t] } }
sinks: { out: { type: memory, channel: c } }
tasks:
  spam:
    from: [in]
    event: email
    labels: ${labels}
    decision: ${decision}
`;
const lint = (decision: string, labels?: string): string =>
  lintText(configSchema, text(decision, labels), 'f.yaml', { env: {} }).problems.map(showProblem).join('\n');

it('says at which line a decision makes no sense, and what it needs', () => {
  expect(lint('{}')).toBe('');
  expect(lint('{ tag: off }', '[a, b, c]')).toBe('');
  expect(lint('{ tag: 0.01, hold: off, authserv: mx.example.org, correspondents: true }')).toBe('');
  const refused: readonly (readonly [string, string])[] = [
    ['{ tag: 2 }', 'tasks.spam.decision.tag'],
    ['{ tag: no }', 'tasks.spam.decision.tag'],
    ['{ hold: 0.0001, window: 20000 }', 'needs 29956 confirmed events to begin with; `window` keeps 20000'],
    ['{ tag: 0.001, hold: 0.01 }', 'must not allow more than `tag`'],
    ['{ correspondents: true }', 'needs `authserv`'],
    ['{ allow: ["a@b@c"] }', 'must be an address or a domain'],
    ['{ delete: 0.1 }', 'delete'],
  ];
  for (const [decision, complaint] of refused) {
    expect(lint(decision), decision).toContain(complaint);
    expect(lint(decision), decision).toMatch(/^f\.yaml:9:/);
  }
  expect(lint('{ tag: 0.1 }', '[a, b, c]')).toContain('needs a task of two labels');
});

it('reaches the task: on for mail of two labels, else where it is asked for', () => {
  const open = (decision: string, labels?: string) =>
    openTask(taskSpec(parseConfig(text(decision, labels), 'f.yaml', { env: {} }), 'spam')).decision;
  expect(open('{}')).toMatchObject({ tag: 0.001, hold: null, window: 65_536 });
  expect(open('{}', '[a, b, c]')).toBe(null);
  expect(open('{ tag: off }')).toBe(null);
  expect(open('{ allow: [Jane@X.Example] }')).toMatchObject({ allow: ['jane@x.example'] });
});
