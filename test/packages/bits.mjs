/**
 * Learns and scores the same rows with every kind of model, and prints what came of it as digests: the same on every
 * processor. Run where Sluice is installed: `node bits.mjs`.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const inside = (file) => pathToFileURL(path.resolve('node_modules', 'sluice', 'dist', 'src', file)).href;
const { openEngine } = await import(inside('model/engine.js'));
const { modelKinds } = await import(inside('model/kinds.js'));
const { seededRandom } = await import(inside('task/random.js'));

const [dims, denseDims, classes, count] = [4096, 6, 3, 1500];
const random = seededRandom(1, 'bits');
const indptr = new Uint32Array(count + 1);
const cells = Array.from({ length: count * 12 }, () => Math.floor(random() * dims));
const values = Float32Array.from(cells, () => random() * 2 - 1);
for (let i = 1; i <= count; i += 1) indptr[i] = i * 12;
const dense = Float32Array.from({ length: count * denseDims }, () =>
  random() < 0.02 ? Number.NaN : random() * 8 - 4,
);
const labels = Int32Array.from({ length: count }, (_, i) =>
  dense[i * denseDims] + dense[i * denseDims + 1] > 1 ? 2 : values[i * 12] > 0 ? 1 : 0,
);
const digest = (array) =>
  createHash('sha256')
    .update(Buffer.from(array.buffer, array.byteOffset, array.byteLength))
    .digest('hex')
    .slice(0, 16);

const engine = openEngine();
const result = {};
for (const kind of Object.keys(modelKinds)) {
  // Some kinds read only one of the two parts.
  for (const [part, shape] of [
    ['both', { dims, denseDims, classes }],
    ['dense', { dims: 0, denseDims, classes }],
  ]) {
    const rows =
      part === 'both'
        ? { count, indptr, indices: Uint32Array.from(cells), values, denseDims, dense }
        : {
            count,
            indptr: new Uint32Array(count + 1),
            indices: new Uint32Array(0),
            values: new Float32Array(0),
            denseDims,
            dense,
          };
    try {
      const model = engine.create(kind, shape, {}, 7);
      const scores = await model.step(rows, labels);
      result[`${kind} ${part}`] = `${digest(scores)} ${digest(await model.save())}`;
    } catch (error) {
      result[`${kind} ${part}`] = error.code;
    }
  }
}
process.stdout.write(`${JSON.stringify(result)}\n`);
