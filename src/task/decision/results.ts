/**
 * What this site's own mail server found out about a sender, from an `Authentication-Results` header field (RFC 8601).
 * The field holds pieces that a stranger chose (addresses, domains), so it is taken apart by its grammar: what stands in
 * quotes or comments is never structure. Refuses a field that is of another server, is not closed, says two things
 * about one question, or says that DMARC failed: nobody is authenticated by it.
 */

/** What was authenticated. */
export interface Authenticated {
  /** Domains whose DKIM signature holds, or that DMARC found aligned with From (RFC 7489); lower case. */
  readonly domains: readonly string[];
  /** The mail was submitted by a user of this site who had logged in (SMTP AUTH, RFC 4954). */
  readonly submitted: boolean;
}

interface Result {
  readonly method: string;
  readonly result: string;
  /** `header.d` and the like, in lower case, with their values. */
  readonly properties: ReadonlyMap<string, string>;
}

/** `value`: the field unfolded, but not decoded (RFC 2047 would make structure of what is none). */
export function readResults(value: string, server: string): Authenticated | null {
  const parts = split(value);
  // The first part is the server's name, and perhaps a version.
  if (!parts || parts[0][0]?.toLowerCase() !== server.toLowerCase()) return null;
  const results = parts.slice(1).map(readResult);
  const dmarc = results.filter((each) => each?.method === 'dmarc');
  if (dmarc.length > 1 || dmarc[0]?.result === 'fail') return null;
  const domains: string[] = [];
  let submitted = false;
  for (const each of results) {
    if (each?.result !== 'pass') continue;
    if (each.method === 'auth') submitted = true;
    if (each.method === 'dmarc') domains.push(each.properties.get('header.from') ?? '');
    if (each.method === 'dkim') domains.push(signer(each.properties));
  }
  return { domains: domains.filter((name) => name !== ''), submitted };
}

/** The signing domain: `d`, or where it is not told that of the identity `i`. */
function signer(properties: ReadonlyMap<string, string>): string {
  const identity = properties.get('header.i') ?? '';
  return properties.get('header.d') ?? identity.slice(identity.lastIndexOf('@') + 1);
}

function readResult(words: readonly string[]): Result | null {
  if (words.length === 0) return null;
  const [method, result] = assignment(words[0]);
  const properties = new Map<string, string>();
  for (const word of words.slice(1)) {
    const [name, value] = assignment(word);
    // Said twice: the later one is not believed.
    if (!properties.has(name)) properties.set(name, value);
  }
  return { method: method.split('/', 1)[0], result, properties };
}

function assignment(word: string): readonly [name: string, value: string] {
  const cut = word.indexOf('=');
  return cut < 0
    ? [word.toLowerCase(), '']
    : [word.slice(0, cut).toLowerCase(), word.slice(cut + 1).toLowerCase()];
}

/** Words between semicolons; a quoted string becomes part of its word, a comment (they nest) is a blank. null: not closed. */
function split(value: string): string[][] | null {
  const parts: string[][] = [[]];
  let word = '';
  let depth = 0;
  let quoted = false;
  const end = (): void => {
    if (word !== '') parts[parts.length - 1].push(word);
    word = '';
  };
  for (let i = 0; i < value.length; i++) {
    const letter = value[i];
    if (letter === '\\' && (quoted || depth > 0)) {
      i += 1;
      // An unlikely letter stands for it: nothing that is compared holds one.
      if (quoted) word += '\u0000';
    } else if (quoted) {
      if (letter === '"') quoted = false;
      else word += letter === '=' ? '\u0000' : letter;
    } else if (depth > 0 || letter === '(') {
      if (letter === '(') depth += 1;
      else if (letter === ')') depth -= 1;
      end();
    } else if (letter === '"') quoted = true;
    else if (letter === ';') {
      end();
      parts.push([]);
    } else if (letter <= ' ') end();
    else word += letter;
  }
  end();
  return quoted || depth > 0 ? null : parts;
}
