import { expect, it } from 'vitest';
import { taskSpec } from '../../src/app/spec.ts';
import { lintText } from '../../src/config/lint.ts';
import { showProblem } from '../../src/config/problems.ts';
import { configSchema, parseConfig } from '../../src/config.ts';
import { openTask } from '../../src/task/task.ts';

const text = (more: string) => `site: s
sources: { in: { type: memory, channel: c, topics: [t] } }
sinks: { out: { type: memory, channel: c } }
tasks:
  spam:
    from: [in]
    event: email
    labels: [ham, spam]
    ${more}
`;
const opened = (more: string) =>
  openTask(taskSpec(parseConfig(text(more), 'f.yaml', { env: {} }), 'spam')).selfTraining;

it('is on for mail that `text` learns unless it is turned off, and for nothing else', () => {
  expect(opened('')).toBe(true);
  expect(opened('selfTraining: auto')).toBe(true);
  expect(opened('selfTraining: off')).toBe(false);
  expect(opened('model: { kind: linear }')).toBe(false);
  expect(opened('features: { preset: fast }')).toBe(false);
});

it('knows two words', () => {
  const { problems } = lintText(configSchema, text('selfTraining: sometimes'), 'f.yaml', { env: {} });
  expect(problems.map(showProblem).join()).toMatch(/^f\.yaml:9:.*selfTraining/);
});
