/** The card of the decision: what a gateway would have tagged or held, of either label, with the bound it stands on. */
import type { DecidedCounts } from '../decision/trial.ts';
import type { Evaluation } from '../evaluation.ts';
import { wilson } from './interval.ts';
import { cut, type Markup, table } from './markup.ts';
import { card } from './tables.ts';
import { count, DASH, percent } from './words.ts';

const MAX_NAME = 24;
const COLUMNS = ['label', 'events', 'tagged', 'held', 'unsure', 'tagged or held', '95 % interval'];

/** null where the task decides nothing beyond the label. */
export function decisionCard({ decision }: Evaluation): Markup | null {
  if (!decision) return null;
  const { ham, spam, since, from } = decision;
  const [negative, positive] = [cut(decision.negative, MAX_NAME), cut(decision.positive, MAX_NAME)];
  const rows = [row(negative, ham), row(positive, spam)];
  if (from !== null && since.ham.tested + since.spam.tested < ham.tested + spam.tested)
    rows.push(row(`${negative}, since it acts`, since.ham), row(`${positive}, since it acts`, since.spam));
  const columns = COLUMNS.map((name, i) => ({ name, text: i === 0 }));
  return card('What a gateway would have done', note(decision, negative), table(columns, rows), true);
}

function note({ tag, hold, from, figures }: NonNullable<Evaluation['decision']>, negative: string): string {
  const budgets = [
    ...(tag === null ? [] : [`tag ${percent(tag, 3)}`]),
    ...(hold === null ? [] : [`hold ${percent(hold, 3)}`]),
  ];
  const began =
    from === null
      ? `It never acts: ${count(figures.confirmed)} of ${count(figures.least)} confirmed ${negative} are there at the end.`
      : `It acts from event ${count(from + 1)} on, when ${count(figures.least)} ${negative} were confirmed.`;
  return `Of the ${negative} at most so much may be lost, at 95 % confidence: ${budgets.join(', ')}. ${began} Unsure: taken for the other label, but not surely enough.`;
}

function row(name: string, { tested, tagged, held, unsure }: DecidedCounts): string[] {
  const acted = tagged + held;
  const range = tested > 0 ? wilson(acted, tested) : null;
  return [
    name,
    count(tested),
    count(tagged),
    count(held),
    count(unsure),
    percent(tested > 0 ? acted / tested : null, 3),
    range ? `${percent(range[0], 3)} – ${percent(range[1], 3)}` : DASH,
  ];
}
