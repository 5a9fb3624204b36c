/**
 * Contributions of a mail's cells as reasons that a person reads: what tells of the same word, header or link is one reason, its
 * weight the sum. Promises: every contribution is in exactly one reason, so the sums stay; order and texts depend on
 * the contributions alone; time grows with their number. Names that are none of a mail's features are reasons of their own.
 *
 * A pair of neighbours goes with the stronger of its words, a piece of characters with the strongest word that has it, a
 * token of the raw mail with the word that it spells.
 */
import type { Contribution } from './explanation.ts';
import { type Named, named } from './reasons/names.ts';

export interface Reason {
  /** In words, as `text "removed"`. */
  readonly what: string;
  /** The other features that say the same, strongest first, at most MOST_WITH. */
  readonly with: readonly string[];
  readonly features: number;
  /** Towards the label (natural logarithm); negative: away from it. */
  readonly logOdds: number;
}

export interface Reasons {
  /** Strongest first. */
  readonly towards: readonly Reason[];
  readonly away: readonly Reason[];
  /** What is in none of them. */
  readonly rest: { readonly features: number; readonly logOdds: number };
}

const MOST_WITH = 3;
/** Shorter pieces of words say nothing of the word. */
const PIECE = 3;
/** Words that are remembered for a piece. */
const MOST_WORDS = 16;

interface Member {
  readonly name: Named;
  readonly logOdds: number;
}

/** The strongest reasons, at most `limit` on each side. */
export function reasonsOf(contributions: readonly Contribution[], limit: number): Reasons {
  const sparse = contributions.filter(({ part }) => part === 'sparse');
  const members = sparse.map(({ feature, logOdds }): Member => ({ name: named(feature), logOdds }));
  members.sort((a, b) => Math.abs(b.logOdds) - Math.abs(a.logOdds));
  const all = grouped(members).map(reasonOf);
  all.sort((a, b) => Math.abs(b.logOdds) - Math.abs(a.logOdds));
  const towards = all.filter(({ logOdds }) => logOdds > 0).slice(0, limit);
  const away = all.filter(({ logOdds }) => logOdds < 0).slice(0, limit);
  const shown = new Set([...towards, ...away]);
  const rest = all.filter((reason) => !shown.has(reason));
  const sum = (of: (reason: Reason) => number) => rest.reduce((total, reason) => total + of(reason), 0);
  return {
    towards,
    away,
    rest: { features: sum(({ features }) => features), logOdds: sum((r) => r.logOdds) },
  };
}

/** Members by what they are about; both lists strongest first. */
function grouped(members: readonly Member[]): Member[][] {
  const groups = new Map<string, Member[]>();
  const words = new Words(members);
  for (const member of members) {
    const key = words.subjectOf(member.name);
    const group = groups.get(key);
    if (group) group.push(member);
    else groups.set(key, [member]);
  }
  return [...groups.values()];
}

/** The group is called by its word where that is one of it, else by its strongest member. */
function reasonOf(group: readonly Member[]): Reason {
  const head = group.find(({ name }) => name.word !== null) ?? group[0];
  const others = group.filter((member) => member !== head);
  return {
    what: head.name.text,
    with: others.slice(0, MOST_WITH).map(({ name }) => name.short),
    features: group.length,
    logOdds: group.reduce((sum, { logOdds }) => sum + logOdds, 0),
  };
}

/** The words of a mail by field, by spelling, and by the pieces they have; the strongest first wins. */
class Words {
  readonly #strength = new Map<string, number>();
  readonly #bySpelling = new Map<string, string>();
  readonly #byPiece = new Map<string, string[]>();

  constructor(members: readonly Member[]) {
    for (const { name, logOdds } of members) {
      if (name.word === null) continue;
      const key = keyOf(name.field, name.word);
      this.#strength.set(key, Math.abs(logOdds));
      const spelling = spelled(name.word);
      if (spelling !== '' && !this.#bySpelling.has(spelling)) this.#bySpelling.set(spelling, key);
      this.#remember(name.field, name.word);
    }
  }

  /** By its pieces. */
  #remember(field: string, word: string): void {
    for (let at = 0; at + PIECE <= word.length; at += 1) {
      const piece = keyOf(field, word.slice(at, at + PIECE));
      const words = this.#byPiece.get(piece);
      if (words === undefined) this.#byPiece.set(piece, [word]);
      else if (words.length < MOST_WORDS && words[words.length - 1] !== word) words.push(word);
    }
  }

  /** The strongest word with these characters; undefined where none has them. */
  #wordWith(field: string, characters: string): string | undefined {
    const words = this.#byPiece.get(keyOf(field, characters.slice(0, PIECE)));
    const found = words?.find((word) => word.includes(characters));
    return found === undefined ? undefined : keyOf(field, found);
  }

  /** What a feature is about: features with the same answer are one reason. */
  subjectOf({ field, word, pair, piece, token, text }: Named): string {
    if (word !== null) return keyOf(field, word);
    if (pair) {
      const [first, second] = pair.map((each) => keyOf(field, each));
      const strength = (key: string) => this.#strength.get(key) ?? -1;
      const stronger = strength(second) > strength(first) ? second : first;
      return this.#strength.has(stronger) ? stronger : text;
    }
    if (piece !== null) return this.#wordWith(field, longestRun(piece)) ?? text;
    if (token !== null) return this.#bySpelling.get(spelled(token)) ?? text;
    return text;
  }
}

const keyOf = (field: string, word: string): string => `${field}\0${word}`;

/** Without what stands around words. */
const spelled = (text: string): string =>
  text.toLowerCase().replace(/^[^\p{L}\p{N}$]+|[^\p{L}\p{N}%]+$/gu, '');

function longestRun(piece: string): string {
  const runs = piece.toLowerCase().split(/[^\p{L}\p{N}$'\-.@%_]+/u);
  return runs.reduce((longest, run) => (run.length > longest.length ? run : longest), '');
}
