/**
 * What a link says about its sender, as short texts to be hashed. Promises: bounded in number and length whatever the
 * address; never throws: what is no address is a mark of its own.
 */

/** Scheme, host with its parents, path pieces, and what honest links seldom have. */
export function linkMarks(shown: string, target: string): string[] {
  const marks: string[] = [];
  const match = /^([a-z][a-z0-9+.-]{0,20}):(?:\/\/)?([^/?#]{0,300})([^?#]{0,300})/i.exec(target);
  if (match === null) return [`relative ${target.slice(0, 60).toLowerCase()}`];
  const scheme = match[1].toLowerCase();
  marks.push(`scheme ${scheme}`);
  const authority = match[2].toLowerCase();
  const at = authority.lastIndexOf('@');
  if (at >= 0 && scheme !== 'mailto') marks.push('user in address');
  const host = authority.slice(at + 1).replace(/:\d*$/, '');
  if (host !== authority.slice(at + 1)) marks.push(`port ${authority.slice(authority.lastIndexOf(':') + 1)}`);
  const labels = host.split('.').slice(-6);
  if (/^[\d.]+$|^0x|^\d+$/.test(host)) marks.push('host is a number');
  for (let i = 0; i < labels.length; i += 1) marks.push(`host ${labels.slice(i).join('.')}`);
  for (const piece of match[3].split('/').slice(0, 8))
    if (piece !== '') marks.push(`path ${piece.toLowerCase()}`);
  if (target.includes('%')) marks.push('escaped');
  if (target.includes('?')) marks.push('query');
  const claimed = /(?:https?:\/\/|www\.)([^/\s?#]{1,200})/i.exec(shown)?.[1]?.toLowerCase();
  if (claimed !== undefined && !host.endsWith(labelsOf(claimed))) marks.push('shows another host');
  if (shown === '') marks.push('shows nothing');
  return marks;
}

/** The last two labels of a host. */
function labelsOf(host: string): string {
  return host.split('.').slice(-2).join('.');
}
