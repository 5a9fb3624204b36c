/** The two sides of a case that compares a native model with a plain one over the same rows, learning or scoring them. */
import type { Model, Rows } from '../src/contract.ts';
import { measure, type Prepared } from './case.ts';

/** A model in plain loops: row `i` of `rows` at a time. */
export interface PlainModel {
  score(rows: Rows, i: number): number;
  learn(rows: Rows, i: number, label: number): void;
}

export function learnerSides(
  model: Model,
  plain: PlainModel,
  { rows, labels }: { readonly rows: Rows; readonly labels: Int32Array },
  learns: boolean,
): Pick<Prepared, 'sluice' | 'peer' | 'close'> {
  // Summed and asked for, so that no scoring is optimised away.
  let sum = 0;
  return {
    sluice: () =>
      measure(async () => {
        if (learns) await model.learn(rows, labels);
        else sum += (await model.score(rows))[0];
        return rows.count;
      }),
    peer: () =>
      measure(() => {
        for (let i = 0; i < rows.count; i++) {
          if (learns) plain.learn(rows, i, labels[i]);
          else sum += plain.score(rows, i);
        }
        return sum > -1 ? rows.count : 0;
      }),
    close: async () => model.close(),
  };
}
