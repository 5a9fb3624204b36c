/**
 * HTML that cannot be broken from inside: `html` is a template whose values are escaped unless they are markup
 * themselves, so that a label named `<script>` is a label. Values belong between tags or in quoted attributes,
 * never into the name of a tag, into style or script. Control characters, unpaired surrogates and marks that turn
 * the direction of text are shown as U+FFFD: they hide what stands there.
 */

/** Text that is HTML already. Only `html` makes it. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** null shows nothing. */
export type Part = Markup | string | number | null | readonly Part[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Cc, Cs, and the bidirectional controls of Unicode UAX #9. */
const UNSEEN = /[\p{Cc}\p{Cs}\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;

export const clean = (text: string): string => text.replace(UNSEEN, '\uFFFD');

/** At most `most` characters; what is longer ends in an ellipsis. */
export function cut(text: string, most: number): string {
  // A name may be megabytes long: only what can matter is split into characters.
  const letters = [...text.slice(0, 4 * most)];
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join('')}…`;
}

function render(part: Part): string {
  if (part === null) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'object') return part.map(render).join('');
  return clean(String(part)).replace(/[&<>"']/g, (letter) => ENTITIES[letter]);
}

/** The template: html`<td>${anything}</td>`. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.reduce((text, piece, i) => text + render(parts[i - 1] ?? null) + piece));
}

export interface Column {
  readonly name: string;
  /** Numbers stand to the right. */
  readonly text?: boolean;
}

/** A table with a head. The first cell of each row names the row. */
export function table(columns: readonly Column[], rows: readonly (readonly Part[])[]): Markup {
  const kind = (i: number) => (columns[i].text ? 't' : 'n');
  const head = columns.map(({ name }, i) => html`<th scope="col" class="${kind(i)}">${name}</th>`);
  const body = rows.map(
    ([first, ...rest]) =>
      html`<tr><th scope="row" class="${kind(0)}">${first}</th>${rest.map((cell, i) => html`<td class="${kind(i + 1)}">${cell}</td>`)}</tr>\n`,
  );
  return html`<div class="scroll" tabindex="0" role="group" aria-label="table"><table><thead><tr>${head}</tr></thead><tbody>\n${body}</tbody></table></div>`;
}
