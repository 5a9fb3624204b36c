/**
 * How a mail is made (`headerForm: from and reply-to other`, `textForm: capitals -3`), read for people. Promises: every mark of
 * features/form.ts has words, a test holds both together; what is no such mark is read as it is. Shapes stay as they are
 * written there: `a` and `A` stand for letters, `9` for digits, `u` for what is beyond ASCII, the rest for itself.
 */

/** How many each power of two stands for. */
export const scaled = (power: number): string =>
  power === 0 ? 'none' : power === 1 ? '1' : `${2 ** (power - 1)} to ${2 ** power - 1}`;

/** `none`, or the logarithm of a share: -3 is about one in eight. */
function share(text: string, of: string): string {
  if (text === 'none') return 'none';
  const one = 2 ** -Number(text);
  return one <= 1 ? `nearly all ${of}` : `about 1 in ${one} ${of}`;
}

type Read = readonly [mark: RegExp, read: (...groups: string[]) => string];

const shape = (what: string, text: string): string =>
  text === '' ? `${what}: none` : `${what}: shape “${text}”`;

const RELATIONS: Readonly<Record<string, string>> = {
  same: 'of the same owner',
  other: 'of different owners',
  absent: 'not both there',
};
const QUARTERS = ['hardly any', 'about a quarter', 'about half', 'most', 'all'];

const HEADERS: readonly Read[] = [
  [/^hops (\d+)$/, (n) => `servers on the way: ${n}`],
  [/^(\S+) and (\S+) (same|other|absent)$/, (a, b, how) => `domains of ${a} and ${b}: ${RELATIONS[how]}`],
  [/^from (address|name) (.*)$/s, (what, text) => shape(`${what} of the sender`, text)],
  [/^(from|to) (missing|quoted|named|in brackets|bare)$/, (field, how) => `header ${field} is ${how}`],
  [/^readers (\d+)$/, (n) => `addresses in to and cc: ${scaled(Number(n))}`],
  [/^zone (.+)$/, (zone) => `time zone of the date: ${zone}`],
  [/^date (.*)$/s, (text) => shape('date', text)],
  [/^clock behind 0$/, () => "sender's clock is right to the hour"],
  [/^clock (ahead|behind) (\d+)$/, (way, n) => `sender's clock is ${way}, hours: ${scaled(Number(n))}`],
  [/^clock unknown$/, () => "sender's clock: no server wrote when it came"],
  [/^clock without date$/, () => 'no date that can be read'],
  [/^message-id (.*)$/s, (text) => shape('message-id', text)],
  [/^subject length (\d+)$/, (n) => `characters of the subject: ${scaled(Number(n))}`],
  [/^subject capitals few$/, () => 'the subject has hardly a letter'],
  [/^subject capitals (\d)$/, (n) => `capitals among the letters of the subject: ${QUARTERS[Number(n)]}`],
  [/^subject marks (\d)$/, (n) => `! ? $ % in the subject: ${n === '3' ? '3 or more' : n}`],
  [/^subject ends (.*)$/s, (text) => shape('end of the subject', text)],
  [/^subject with gaps$/, () => 'the subject has wide gaps'],
  [/^subject tagged$/, () => 'the subject begins with [ as lists write it'],
  [/^subject (replies|opens), (.+)$/, (how, threaded) => `the subject ${how}, the mail is ${threaded}`],
  [
    /^subject names reader (true|false)$/,
    (yes) => `the subject ${yes === 'true' ? 'names' : 'does not name'} the reader`,
  ],
];

const UNITS: Readonly<Record<string, readonly [what: string, of: string]>> = {
  capitals: ['capitals', 'letters'],
  digits: ['digits', 'characters'],
  foreign: ['characters beyond ASCII', 'characters'],
  marks: ['! and ?', 'characters'],
  money: ['$ and %', 'characters'],
  lines: ['line breaks', 'characters'],
  blank: ['blank lines', 'lines'],
  quoted: ['quoted lines', 'lines'],
  shouted: ['words in capitals', 'words'],
  linked: ['links', 'characters'],
  readable: ['what a reader sees', 'bytes of the mail'],
};

const TEXTS: readonly Read[] = [
  [
    new RegExp(`^(${Object.keys(UNITS).join('|')}) (none|-?\\d+)$`),
    (mark, text) => `${UNITS[mark][0]}: ${share(text, UNITS[mark][1])}`,
  ],
  [/^html (\d) of (\d)$/, (html, all) => `texts in HTML: ${html} of ${all}`],
  [/^hidden (\d+)$/, (n) => `characters hidden from the reader: ${scaled(Number(n))}`],
  [
    /^(begins|ends) (.*)$/s,
    (end, text) => shape(end === 'begins' ? 'begin of the text' : 'end of the text', text),
  ],
  [/^link owners (\d+)$/, (n) => `owners of the sites linked to: ${scaled(Number(n))}`],
  [/^links of sender (none|no|all|some)$/, (which) => LINKS[which]],
];
const LINKS: Readonly<Record<string, string>> = {
  none: 'no links to sites',
  no: "links: none to the sender's site",
  some: "links: some to the sender's site",
  all: "links: all to the sender's site",
};

function read(mark: string, all: readonly Read[]): string | null {
  for (const [pattern, words] of all) {
    const found = pattern.exec(mark);
    if (found) return words(...found.slice(1));
  }
  return null;
}

/** A mark of `headerForm`. */
export const headerFormText = (mark: string): string => read(mark, HEADERS) ?? `form of the headers: ${mark}`;
/** A mark of `textForm`. */
export const textFormText = (mark: string): string => read(mark, TEXTS) ?? `form of the text: ${mark}`;
