/**
 * One text for one JSON value, so that a signature over it means the same everywhere: keys sorted by UTF-16
 * units, no white space, numbers and strings as ECMAScript writes them (RFC 8785, JSON Canonicalization
 * Scheme). Refuses what JSON cannot say (numbers that are not finite, functions), `__proto__` as a key and
 * nesting deeper than 32, and a text that is not UTF-8 or not JSON, with a plain Error whose message says so.
 */
const MAX_DEPTH = 32;

/** Throws Error for a value that has no canonical text. Members that are undefined are left out. */
export function canonicalJson(value: unknown, depth = 0): string {
  if (depth > MAX_DEPTH) throw new Error(`it is nested deeper than ${MAX_DEPTH}`);
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error('it holds a number that is not finite');
    return JSON.stringify(value);
  }
  if (typeof value !== 'object') throw new Error(`it holds a ${typeof value}`);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item, depth + 1)).join(',')}]`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  if (members.some(([key]) => key === '__proto__')) throw new Error('it holds the key __proto__');
  // Not localeCompare: the order must not depend on the machine.
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member, depth + 1)}`).join(',')}}`;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The JSON value of UTF-8 bytes. Throws Error where they are none, or nest or name what canonicalJson refuses. */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new Error('it is not UTF-8 text');
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
}

/** Every complaint of a zod error in one sentence, each with its path; at most three. */
export function showIssues(
  issues: readonly { readonly path: PropertyKey[]; readonly message: string }[],
): string {
  const shown = issues
    .slice(0, 3)
    .map((issue) => `${issue.path.map(String).join('.')} ${issue.message}`.trim());
  return shown.join('; ') + (issues.length > 3 ? `; and ${issues.length - 3} more` : '');
}
