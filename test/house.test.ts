/** The stairs of ARCHITECTURE.md: imports only go down, siblings are blind to each other. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Rooms by step, the lowest first. A room may import from lower steps and from itself. */
const STAIRS: readonly (readonly string[])[] = [
  ['errors', 'telemetry', 'contract', 'clock', 'units', 'latency'],
  ['envelope'],
  ['io', 'decode', 'features', 'model', 'drift'],
  ['task', 'state'],
  ['flow', 'fleet', 'web'],
  ['config'],
  ['app'],
  ['cli'],
  ['main'],
];
/** The floor holds tables and types that may name each other. */
const FLOOR = new Set(STAIRS[0]);

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** `src/io/mqtt.ts` and `src/io.ts` are the room `io`. */
const room = (file: string): string =>
  path.relative(path.join(ROOT, 'src'), file).split(path.sep)[0].replace(/\.ts$/, '');
const step = (name: string): number => STAIRS.findIndex((rooms) => rooms.includes(name));

function imports(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const found = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) => match[1]);
  return found.map((target) => path.resolve(path.dirname(file), target));
}

const sources = files(path.join(ROOT, 'src'));

test('every room of src stands on the stairs', () => {
  const unknown = [...new Set(sources.map(room))].filter((name) => step(name) < 0);
  expect(unknown).toEqual([]);
});

test('imports only go down, and siblings do not know each other', () => {
  const wrong = sources.flatMap((file) =>
    imports(file)
      .filter((target) => target.startsWith(path.join(ROOT, 'src')))
      .filter((target) => {
        const from = room(file);
        const to = room(target);
        if (from === to || (FLOOR.has(from) && FLOOR.has(to))) return false;
        return step(to) >= step(from);
      })
      .map((target) => `${path.relative(ROOT, file)} -> ${path.relative(ROOT, target)}`),
  );
  expect(wrong).toEqual([]);
});

/** How a YAML file is read and complained about: schema-free parts that the simulator's scenarios share. */
const READER = /^src\/config\/(yaml|overrides|loosely|problems|secrets|substitute)\.ts$/;

test('the simulator uses only transports, bundles, the reader of YAML and what lies below them; src does not use the simulator except for the demo', () => {
  const allowed = new Set([...STAIRS[0], ...STAIRS[1], 'io', 'model']);
  const wrong = files(path.join(ROOT, 'firmware-sim')).flatMap((file) =>
    imports(file)
      .filter((target) => target.startsWith(path.join(ROOT, 'src')) && !allowed.has(room(target)))
      .filter((target) => !READER.test(path.relative(ROOT, target)))
      .map((target) => `${path.relative(ROOT, file)} -> ${path.relative(ROOT, target)}`),
  );
  expect(wrong).toEqual([]);
  const users = sources.filter((file) =>
    imports(file).some((target) => target.startsWith(path.join(ROOT, 'firmware-sim'))),
  );
  expect(
    users.map((file) => path.relative(ROOT, file)).filter((file) => !/^src\/cli\/demo/.test(file)),
  ).toEqual([]);
});

test('no file of code in src is longer than 400 lines', () => {
  const code = sources.filter((file) => room(file) !== 'contract');
  const long = code.filter((file) => readFileSync(file, 'utf8').split('\n').length > 400);
  expect(long.map((file) => path.relative(ROOT, file))).toEqual([]);
});
