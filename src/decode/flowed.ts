/**
 * `format=flowed` (RFC 3676): lines that end in a blank go on in the next one. Promises: linear; of a quoted paragraph the
 * marks stand once; lines of other depths of quoting and the signature's `-- ` are never joined.
 */

/** How many `>` a line begins with. */
function depthOf(line: string): number {
  let depth = 0;
  while (line.charCodeAt(depth) === 0x3e) depth += 1;
  return depth;
}

/** The text with its paragraphs joined; `deleteSpace` (DelSp=yes) drops the blank at which they were cut. */
export function joinFlowed(text: string, deleteSpace: boolean): string {
  const out: string[] = [];
  /** Depth of the paragraph that goes on, -1 where none does. */
  let open = -1;
  for (const raw of text.split(/\r?\n/)) {
    const depth = depthOf(raw);
    // One blank after the marks is stuffing (RFC 3676 section 4.4).
    const line = raw.slice(raw.charCodeAt(depth) === 0x20 ? depth + 1 : depth);
    const flows = line.endsWith(' ') && line !== '-- ';
    const content = flows && deleteSpace ? line.slice(0, -1) : line;
    if (open === depth && line !== '-- ') out.push(content);
    else
      out.push(
        out.length === 0 ? '' : '\n',
        depth > 0 ? raw.slice(0, raw.length - line.length) : '',
        content,
      );
    open = flows ? depth : -1;
  }
  return out.join('');
}
