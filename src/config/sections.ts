/**
 * How the checks across options read a configuration that may have any shape: what has the wrong type is passed
 * over, the schema complains about it.
 */
import { isRecord } from './shape.ts';
import type { Path } from './tree.ts';

export type Section = Readonly<Record<string, unknown>>;
/** Takes one complaint; `at` says whether the key or the value is at fault. */
export type Report = (
  path: Path,
  message: string,
  at?: 'key' | 'value',
  severity?: 'error' | 'warning',
) => void;

/** A sink without a list takes every task. */
export const serves = (sink: Section, task: string): boolean =>
  !('tasks' in sink) || texts(sink.tasks).includes(task);
/** What is no section counts as an empty one: the schema complains about it. */
export const section = (value: unknown): Section => (isRecord(value) ? value : {});
export const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((v) => typeof v === 'string') : [];

/** Visits the texts of a list. */
export function eachText(value: unknown, visit: (text: string, index: number) => void): void {
  if (!Array.isArray(value)) return;
  value.forEach((item, i) => {
    if (typeof item === 'string') visit(item, i);
  });
}
