/**
 * "Did you mean": the nearest of the allowed words, or none. Distance is Damerau-Levenshtein in the
 * optimal-string-alignment form (Boytsov 2011): an insertion, deletion, change or swap of neighbours
 * costs one. Case, `-` and `_` are free, because they are the commonest slips.
 */

const bare = (word: string): string => word.toLowerCase().replace(/[-_\s]/g, '');

/** The allowed word nearest to `word`, if it is near enough to be meant. */
export function nearest(word: string, allowed: readonly string[]): string | null {
  const wanted = bare(word);
  let best: string | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of allowed) {
    const known = bare(candidate);
    const limit = slips(Math.max(wanted.length, known.length));
    const cost = distance(wanted, known, limit + 1);
    if (cost <= limit && cost < least) [best, least] = [candidate, cost];
  }
  return best;
}

/** Slips that a word of so many letters may hold: more, and it was meant as it stands (`offline` is not `online`). */
function slips(letters: number): number {
  if (letters < 3) return 0;
  return letters < 8 ? 1 : Math.min(3, Math.floor(letters / 4));
}

/** ` Did you mean "x"?`, or nothing. */
export function didYouMean(word: string, allowed: readonly string[]): string {
  const near = nearest(word, allowed);
  return near === null ? '' : `; did you mean "${near}"?`;
}

function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const now = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      now[j] = Math.min(change, last[j] + 1, now[j - 1] + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        now[j] = Math.min(now[j], before[j - 2] + 1);
    }
    [before, last] = [last, now];
  }
  return last[b.length];
}
