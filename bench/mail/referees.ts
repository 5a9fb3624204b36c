/**
 * What two parsers of other people make of a mail, as plain words that can be laid beside ours. Promises: only what
 * the parsers decoded is used, part by part, before they make one body of all parts in ways of their own. HTML is
 * turned into text by html-to-text (the reader that mailparser itself uses) with nothing added: no
 * addresses of links, no pictures, no rulers, no capitals, no wrapping.
 */
import { compile } from 'html-to-text';
import { MailParser } from 'mailparser';
import PostalMime, { addressParser } from 'postal-mime';

/** Words of one mail by where they stand. */
export interface Reading {
  readonly subject: readonly string[];
  /** Names and addresses, in alphabetical order: parsers turn `address (name)` around. */
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly plain: readonly string[];
  readonly html: readonly string[];
}

export const REFEREES = {
  'postal-mime': readPostal,
  mailparser: readMailparser,
} as const;

/** Words between white space; joiners that show nothing are no part of a word. */
export function words(text: string): string[] {
  return text.replace(/[\u00ad\u200b-\u200d\ufeff]/g, '').match(/\S+/g) ?? [];
}

/** Words of an address header, whatever its punctuation. */
export function addressWords(text: string): string[] {
  return [...new Set(words(text.replace(/[<>"'(),;:\\]/g, ' ')))].sort();
}

const BLOCKS =
  'hr td th tr ul ol li dl dt dd center blockquote option select textarea fieldset legend address form pre h1 h2 h3 h4 h5 h6';

/** Everything that is not markup, whether hidden or not; what stands outside of the body too, as browsers show it. */
const toText = compile({
  wordwrap: false,
  limits: { maxInputLength: 1 << 26, maxDepth: 2_000 },
  baseElements: { selectors: ['none-at-all'] },
  formatters: { gap: (_element, _walk, builder) => builder.addInline(' ') },
  selectors: [
    { selector: 'a', options: { ignoreHref: true } },
    ...['img', 'input', 'button'].map((selector) => ({ selector, format: 'gap' })),
    ...['title', 'script', 'style', 'iframe', 'noframes', 'noembed'].map((selector) => ({
      selector,
      format: 'skip',
    })),
    ...BLOCKS.split(' ').map((selector) => ({ selector, format: 'block' })),
  ],
});

interface Address {
  readonly name?: string;
  readonly address?: string;
  readonly group?: readonly Address[];
}

function addressesText(list: readonly Address[] | undefined): string {
  return (list ?? [])
    .map((one) => `${one.name ?? ''} ${one.address ?? ''} ${addressesText(one.group)}`)
    .join(' ');
}

/** The text parts that postal-mime collects, by the node that holds them; messages in messages are parsed anew. */
type PostalTexts = ReadonlyMap<
  unknown,
  Partial<Record<'plain' | 'html', readonly { type: string; value: string }[]>>
>;

async function readPostal(raw: Uint8Array): Promise<Reading> {
  const parser = new PostalMime();
  const mail = await parser.parse(raw);
  const plain: string[] = [];
  const html: string[] = [];
  for (const texts of (parser as unknown as { readonly textMap: PostalTexts }).textMap.values()) {
    for (const one of texts.plain ?? []) if (one.type === 'text') plain.push(one.value);
    for (const one of texts.html ?? []) if (one.type === 'text') html.push(one.value);
  }
  // Its `from` is the first address alone.
  const from = mail.headers.find(({ key }) => key === 'from')?.value ?? '';
  return {
    subject: words(mail.subject ?? ''),
    from: addressWords(addressesText(addressParser(from))),
    to: addressWords(addressesText(mail.to)),
    plain: words(plain.join('\n')),
    html: words(html.map((one) => toText(one)).join('\n')),
  };
}

interface Node {
  readonly contentType?: string | false;
  readonly textContent?: string;
  readonly children?: readonly Node[];
}

async function readMailparser(raw: Uint8Array): Promise<Reading> {
  const parser = new MailParser({
    skipHtmlToText: true,
    skipTextToHtml: true,
    skipTextLinks: true,
    keepDeliveryStatus: true,
  });
  const headers = await new Promise<Map<string, unknown>>((resolve, reject) => {
    let found = new Map<string, unknown>();
    parser.on('headers', (map: Map<string, unknown>) => {
      found = map;
    });
    parser.on('data', (data: { type: string; content?: NodeJS.ReadableStream; release?: () => void }) => {
      if (data.type !== 'attachment') return;
      data.content?.on('end', () => data.release?.());
      data.content?.resume();
    });
    parser.on('end', () => resolve(found));
    parser.on('error', reject);
    parser.end(raw);
  });
  const plain: string[] = [];
  const html: string[] = [];
  const walk = (node: Node): void => {
    if (node.textContent) (node.contentType === 'text/html' ? html : plain).push(node.textContent);
    for (const child of node.children ?? []) walk(child);
  };
  walk((parser as unknown as { readonly tree: Node }).tree);
  const list = (name: string) => {
    const value = headers.get(name) as { value: Address[] } | { value: Address[] }[] | undefined;
    return addressWords(addressesText([value ?? []].flat().flatMap((one) => one.value)));
  };
  const subject = headers.get('subject');
  return {
    subject: words(typeof subject === 'string' ? subject : ''),
    from: list('from'),
    to: list('to'),
    plain: words(plain.join('\n')),
    html: words(html.map((one) => toText(one)).join('\n')),
  };
}
