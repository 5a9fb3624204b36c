/**
 * Texts that are what they seem, told apart by one look at each letter, so that regular expressions are only asked about the
 * few others. Promises: whoever gets a yes may use the text as it stands.
 */

/** Whether a text is printable ASCII without blanks and references, as nearly all addresses are: it stands for itself. */
export function isClean(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit <= 0x20 || unit > 0x7e || unit === 0x26) return false;
  }
  return true;
}

/** Whether a text is printable ASCII with single blanks between words only. */
export function isFolded(text: string): boolean {
  let before = 0x20;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || unit > 0x7e || (unit === 0x20 && before === 0x20)) return false;
    before = unit;
  }
  return before !== 0x20 || text.length === 0;
}
