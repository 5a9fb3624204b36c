/**
 * `node dist/bench/mail-features.js --input PATH … [--model KIND] [--set KEY=VALUE]`: what each namespace of a mail is
 * worth. Evaluates the default, then with each namespace left out, prequentially, and prints the table of
 * docs/mail-features.md as Markdown; figures depend on the input and the options alone. --set and --feedback are
 * those of `sluice evaluate`. Refuses nothing of its own: what `evaluate` refuses ends it.
 */
import { parseArgs } from 'node:util';
import type { Message } from '../src/contract.ts';
import { emailOptions } from '../src/features/email-options.ts';
import { RowArena } from '../src/features/rows.ts';
import { type InputOptions, readInput } from '../src/io/files.ts';
import { openEngine } from '../src/model/engine.ts';
import { modelKinds } from '../src/model/kinds.ts';
import { type Evaluation, evaluate } from '../src/task/evaluation.ts';
import { parseFeedback } from '../src/task/feedback.ts';
import { openTask, type Task } from '../src/task/task.ts';

const { values: given } = parseArgs({
  options: {
    input: { type: 'string', multiple: true, default: [] },
    model: { type: 'string', default: Object.hasOwn(modelKinds, 'text') ? 'text' : 'linear' },
    set: { type: 'string', multiple: true, default: [] },
    feedback: { type: 'string', default: 'immediate' },
    format: { type: 'string' },
    columns: { type: 'string' },
    text: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});

const input = {
  path: given.input,
  ...(given.format === undefined ? {} : { format: given.format }),
  ...(given.columns === undefined ? {} : { columns: given.columns.split(',') }),
  ...(given.text === undefined ? {} : { text: given.text }),
} as InputOptions;
const seed = Number(given.seed);
const engine = openEngine({ backend: 'auto' });
const modelOptions = Object.fromEntries(
  given.set.map((pair) => [pair.split('=')[0], Number(pair.split('=')[1])]),
);

function taskOf(spaces: Readonly<Record<string, number>>): Task {
  return openTask({
    name: 'spam',
    event: 'email',
    labels: ['ham', 'spam'],
    decode: { kind: 'mime' },
    features: { options: { spaces } },
    model: { kind: given.model, options: modelOptions },
    seed,
  });
}

/** Messages, and cells a message. */
async function survey(task: Task, messages: AsyncIterable<Message>): Promise<[total: number, cells: number]> {
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  let total = 0;
  let cells = 0;
  for await (const message of messages) {
    for (const event of task.decode(message)) {
      arena.reset();
      task.fill(event, arena);
      total += 1;
      cells += arena.cells;
    }
  }
  return [total, cells / total];
}

async function figures(spaces: Readonly<Record<string, number>>): Promise<[Evaluation, number]> {
  const task = taskOf(spaces);
  const [total, cells] = await survey(task, readInput(input));
  const result = await evaluate({
    task,
    engine,
    train: null,
    input: readInput(input),
    total,
    protocol: { kind: 'prequential' },
    feedback: parseFeedback(given.feedback),
    seed,
  });
  return [result, cells];
}

const number = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined ? '' : value.toFixed(digits);

const names = Object.keys(emailOptions.shape.spaces.unwrap().shape);
const rows: readonly [string, Readonly<Record<string, number>>][] = [
  ['all', {}],
  ...names.map((name): [string, Record<string, number>] => [`without ${name}`, { [name]: 0 }]),
];
console.log(`model ${given.model}, feedback ${given.feedback}\n`);
console.log('| namespaces | cells a mail | (1 - AUC) % | spam missed at 0.1 % ham lost | accuracy % |');
console.log('| --- | ---: | ---: | ---: | ---: |');
for (const [name, spaces] of rows) {
  const [result, cells] = await figures(spaces);
  console.log(
    `| ${name} | ${Math.round(cells)} | ${number(result.oneMinusAucPercent, 3)} | ` +
      `${number(result.spamMissedAtHam0_1Percent, 1)} | ${number((result.accuracy ?? 0) * 100, 2)} |`,
  );
}
