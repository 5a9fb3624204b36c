// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment are what this file is about
/**
 * `${VAR}` and `${VAR:-default}` in the text of a scalar. It works on text that has been parsed
 * already, so a value can never become YAML structure, and it is not repeated: a value that itself
 * contains `${…}` stays as it is. `$${` writes a literal `${`. An empty variable counts as unset
 * for `:-`, as in a shell; without a default, an unset variable is an error and an empty one is empty.
 */

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Substitution {
  readonly text: string;
  /** Whether anything was replaced. */
  readonly changed: boolean;
  /** What could not be replaced, in order: the sentence and the characters it is about. */
  readonly problems: readonly { readonly near: string; readonly message: string }[];
}

const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Replaces every reference of `text`. */
export function substitute(text: string, env: Environment): Substitution {
  if (!text.includes('${')) return { text, changed: false, problems: [] };
  const problems: { near: string; message: string }[] = [];
  let changed = false;
  const result = text.replace(REFERENCE, (whole: string, inside: string, close: string) => {
    if (whole === '$${') return '${';
    const [name, fallback] = split(inside);
    const message = complaint(name, close, fallback, env);
    if (message !== null) {
      problems.push({ near: whole, message });
      return whole;
    }
    changed = true;
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    return fallback === null ? (value ?? '') : value || fallback;
  });
  return { text: result, changed, problems };
}

function split(inside: string): [name: string, fallback: string | null] {
  const at = inside.indexOf(':-');
  return at < 0 ? [inside, null] : [inside.slice(0, at), inside.slice(at + 2)];
}

function complaint(name: string, close: string, fallback: string | null, env: Environment): string | null {
  if (!close) return 'a reference begins with ${ but has no closing }; write $${ for a literal ${';
  if (!NAME.test(name))
    return `\${${name}} is not a reference to an environment variable; write \${NAME} or \${NAME:-default}, or $\${ for a literal \${`;
  const known = Object.hasOwn(env, name) && env[name] !== undefined;
  if (fallback === null && !known)
    return `the environment variable ${name} is not set; set it, or give a default with \${${name}:-default}`;
  return null;
}
