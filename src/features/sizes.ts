/**
 * Sizes as features: how many there are, on a scale of powers of two, as texts that are made once. Promises: as many texts as there
 * are sizes, whatever the mails.
 */

/** Size on a scale of powers of two. */
export function scale(n: number): number {
  return 32 - Math.clz32(n);
}

/** The marks of all sizes. A text put together anew each time would be slow to hash. */
const marks = (what: string): readonly string[] => Array.from({ length: 33 }, (_, size) => `${what} ${size}`);
export const FIELDS = marks('fields');
export const NUMBER = marks('number');
export const LENGTH = marks('text length');

const parts = new Map<number, string>();
/** How many texts and attachments there are, each on the scale. */
export function partsMark(plain: number, html: number, attached: number): string {
  const key = (plain << 12) | (html << 6) | attached;
  const known = parts.get(key);
  if (known !== undefined) return known;
  const mark = `plain ${plain} html ${html} attached ${attached}`;
  parts.set(key, mark);
  return mark;
}
