/** Made streams of verdicts, the evaluation that belongs to them, and a strict reader of the file that comes out. */
import type { Evaluation } from '../../../src/task/evaluation.ts';
import { ReportCollector } from '../../../src/task/html/collector.ts';
import { Metrics } from '../../../src/task/metrics.ts';
import type { Tested } from '../../../src/task/protocols.ts';
import { seededRandom } from '../../../src/task/random.ts';

export const HEAD = { task: 'machine', protocol: 'prequential', feedback: 'immediate' };

/** Verdicts with probabilities that lean to the truth. */
export function* verdicts(events: number, classes: number, seed = 1, lean = 2): Generator<Tested> {
  const random = seededRandom(seed, 'verdicts');
  const scores = new Float32Array(classes);
  for (let index = 0; index < events; index++) {
    const truth = Math.floor(random() * classes);
    let [sum, predicted] = [0, 0];
    for (let c = 0; c < classes; c++) {
      scores[c] = Math.exp(3 * random() + (c === truth ? lean : 0));
      sum += scores[c];
    }
    for (let c = 0; c < classes; c++) {
      scores[c] /= sum;
      if (scores[c] > scores[predicted]) predicted = c;
    }
    yield { id: `plant.csv#${index + 1}`, index, truth, predicted, stated: predicted, scores, offset: 0 };
  }
}

/** A verdict between two labels of which the second is positive. */
export function verdict(index: number, truth: number, score: number, id = `f#${index + 1}`): Tested {
  const scores = Float32Array.of(1 - score, score);
  const predicted = score > 0.5 ? 1 : 0;
  return { id, index, truth, predicted, stated: predicted, scores, offset: 0 };
}

export interface Made {
  readonly evaluation: Evaluation;
  readonly collector: ReportCollector;
}

/** Feeds metrics and collector as `evaluate` does. */
export function collect(labels: readonly string[], tested: Iterable<Tested>, mail = false): Made {
  const positive = labels.length - 1;
  const collector = new ReportCollector({ labels, positive, mail });
  const metrics = new Metrics({ labels, positive, seed: 1, mail });
  for (const each of tested) {
    metrics.add(each.truth, each.predicted, each.scores, each.offset);
    collector.add(each);
  }
  const evaluation: Evaluation = {
    ...metrics.report(),
    n: metrics.tested,
    labels: metrics.tested,
    selfTrained: 0,
    classes: labels,
    positive: labels.length === 2 ? labels[positive] : null,
    trained: 0,
    dead: {},
    seconds: 1.5,
    cpuSeconds: 1.4,
    eventsPerSecond: 1_000,
    peakRssMiB: 100,
    model: { kind: 'linear', bytes: 4_096 },
    backend: 'cpu',
    seed: 1,
    drift: [],
  };
  return { evaluation, collector };
}

const VOID = new Set(['meta']);

/**
 * Reads the file as XML would: every tag closed in order, every attribute quoted, no bare `<` or `&`. Gives the
 * names of elements. Throws with the place of the first fault.
 */
export function elements(page: string): string[] {
  const body = page.replace(/^<!doctype html>\n/, '').replace(/(<style>)[^<]*(<\/style>)/, '$1$2');
  const open: string[] = [];
  const seen: string[] = [];
  const token = /<(\/?)([a-z]\w*)((?: [a-zA-Z-]+="[^"<>]*")*)(\/?)>|([^<>]+)|[<>]/gy;
  for (const [whole, closing, name, attributes, alone, text] of body.matchAll(token)) {
    const fault = new Error(`not well-formed: ${whole.slice(0, 80)} in ${open.join(' ')}`);
    if (/&(?!(amp|lt|gt|quot|#39);)/.test(text ?? attributes ?? '')) throw fault;
    if (text !== undefined) continue;
    if (name === undefined) throw fault;
    if (closing) {
      if (open.pop() !== name) throw fault;
      continue;
    }
    seen.push(name);
    if (!alone && !VOID.has(name)) open.push(name);
  }
  if (open.length > 0) throw new Error(`never closed: ${open.join(' ')}`);
  return seen;
}

/** Vertices of the first path of a class inside the plot of that id. */
export function drawn(page: string, id: string, kind: string): [x: number, y: number][] {
  const plot = page.slice(page.indexOf(`aria-labelledby="${id}-t`));
  const path = new RegExp(`<path class="${kind}" d="M([^"]*)"`).exec(plot.slice(0, plot.indexOf('</svg>')));
  if (!path) throw new Error(`no ${kind} in ${id}`);
  return path[1].split('L').map((point) => point.split(' ').map(Number) as [number, number]);
}
