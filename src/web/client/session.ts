/**
 * Who acts: the token of the operator, kept in this tab alone (sessionStorage), taken from `#token=…` once, which is
 * never sent to a server and is removed from the address at once. Every change goes out from here.
 */
const KEY = 'sluice-token';
let kept = store((storage) => storage.getItem(KEY));

/** Takes a token out of the address. Called first of all. */
export function takeTokenFromAddress(): void {
  const found = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (!found) return;
  history.replaceState(null, '', location.pathname + location.search);
  try {
    signIn(decodeURIComponent(found[1]));
  } catch {
    // A badly written address is none.
  }
}

export function token(): string | null {
  return kept;
}

export function signIn(given: string): void {
  kept = given;
  store((storage) => storage.setItem(KEY, given));
}

export function signOut(): void {
  kept = null;
  store((storage) => storage.removeItem(KEY));
}

/** A browser may forbid all storage: then the token lives as long as the page. */
function store<T>(work: (storage: Storage) => T): T | null {
  try {
    return work(sessionStorage);
  } catch {
    return null;
  }
}

export interface Answer {
  readonly ok: boolean;
  readonly text: string;
  /** The token was not taken. */
  readonly refused: boolean;
}

/** Posts JSON with the token. Never throws: a failure is an answer in words. */
export async function post(path: string, body: object): Promise<Answer> {
  try {
    const response = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token() ?? ''}` },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    const refused = response.status === 401;
    const answer = (await response.json().catch(() => ({}))) as { text?: string; error?: string };
    const fallback = response.ok ? 'Done.' : `The server refused this (${response.status}).`;
    return {
      ok: response.ok,
      refused,
      text: refused
        ? 'The token was not accepted; sign in again.'
        : (answer.text ?? answer.error ?? fallback),
    };
  } catch {
    return { ok: false, refused: false, text: 'The server does not answer; nothing was changed.' };
  }
}
