/**
 * ARFF (Weka's attribute-relation file format), dense rows: numeric, nominal, string and date attributes,
 * single or double quotes with backslash escapes, `?` for missing, `%` comments. The label is the attribute
 * asked for, else `label` or `class`, else the last one, as Weka has it. Refuses sparse rows, unknown types,
 * nominal values that were not declared and ragged rows, each with its line number.
 */
import { basename } from 'node:path';
import { lineError, readLines } from './lines.ts';
import { type Cell, type FileRecord, RecordMaker, type TableOptions } from './record.ts';

interface Attribute {
  readonly name: string;
  readonly kind: 'numeric' | 'nominal' | 'string';
  readonly values: ReadonlySet<string>;
}

interface Token {
  readonly text: string;
  readonly quoted: boolean;
}

const MISSING = '?';

/** Cuts `a, 'b c', "d\"e"` at the separators. Throws a plain Error with a sentence; the caller adds the line. */
export function splitArff(text: string, separator: RegExp = /[\s]*,[\s]*|\t+/y): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    while (text[at] === ' ') at += 1;
    const quote = text[at];
    let value = '';
    const quoted = quote === "'" || quote === '"';
    if (quoted) {
      at += 1;
      while (at < text.length && text[at] !== quote) {
        if (text[at] === '\\') at += 1;
        value += text[at++] ?? '';
      }
      if (at >= text.length) throw new Error('a quote is never closed');
      at += 1;
    } else {
      const end = text.slice(at).search(/[,\t]/);
      value = end < 0 ? text.slice(at) : text.slice(at, at + end);
      at += value.length;
    }
    tokens.push({ text: quoted ? value : value.trim(), quoted });
    separator.lastIndex = at;
    const cut = separator.exec(text);
    if (!cut && text.slice(at).trim() === '') return tokens;
    if (!cut) throw new Error(`${JSON.stringify(text[at])} stands after a closing quote`);
    at = separator.lastIndex;
  }
}

function parseAttribute(text: string): Attribute {
  const match = /^@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)\s+(.*)$/i.exec(text);
  if (!match) throw new Error('not `@attribute NAME TYPE`');
  const name = splitArff(match[1])[0].text;
  const type = match[2].trim();
  if (type.startsWith('{')) {
    if (!type.endsWith('}')) throw new Error('the nominal values are never closed by }');
    return {
      name,
      kind: 'nominal',
      values: new Set(splitArff(type.slice(1, -1)).map((token) => token.text)),
    };
  }
  if (/^(numeric|real|integer)\b/i.test(type)) return { name, kind: 'numeric', values: new Set() };
  if (/^(string|date)\b/i.test(type)) return { name, kind: 'string', values: new Set() };
  throw new Error(`unknown type ${JSON.stringify(type)} of attribute ${name}`);
}

function toCell(token: Token, attribute: Attribute): Cell {
  if (token.text === MISSING && !token.quoted) return null;
  if (attribute.kind === 'numeric') {
    const value = Number(token.text);
    if (token.text === '' || Number.isNaN(value))
      throw new Error(`${attribute.name}: ${JSON.stringify(token.text)} is not a number`);
    return Number.isFinite(value) ? value : null;
  }
  if (attribute.kind === 'nominal' && !attribute.values.has(token.text)) {
    throw new Error(`${attribute.name}: ${JSON.stringify(token.text)} is not one of its declared values`);
  }
  return token.text;
}

function parseRow(text: string, attributes: readonly Attribute[]): Cell[] {
  if (text.startsWith('{')) throw new Error('sparse rows are not supported; write dense ones');
  const tokens = splitArff(text);
  if (tokens.length !== attributes.length)
    throw new Error(`${tokens.length} cells, but ${attributes.length} attributes`);
  return tokens.map((token, i) => toCell(token, attributes[i]));
}

export async function* readArff(path: string, options: TableOptions): AsyncGenerator<FileRecord> {
  const attributes: Attribute[] = [];
  let maker: RecordMaker | null = null;
  let n = 0;
  for await (const lines of readLines(path)) {
    for (const { text, number } of lines) {
      const line = text.trim();
      if (line === '' || line.startsWith('%')) continue;
      try {
        if (maker) yield maker.make(parseRow(line, attributes), ++n, number);
        else if (/^@attribute\b/i.test(line)) attributes.push(parseAttribute(line));
        else if (/^@data\b/i.test(line)) maker = makerOf(path, attributes, options, number);
        else if (!/^@relation\b/i.test(line)) throw new Error('neither @relation, @attribute nor @data');
      } catch (error) {
        throw error instanceof Error && error.constructor === Error
          ? lineError(path, number, error.message)
          : error;
      }
    }
  }
  if (!maker) throw lineError(path, 1, 'no @data section');
}

function makerOf(
  path: string,
  attributes: readonly Attribute[],
  options: TableOptions,
  line: number,
): RecordMaker {
  const names = attributes.map((attribute) => attribute.name);
  const usual = names.some((name) => /^(label|class)$/i.test(name));
  const label = options.label ?? (usual ? undefined : names.at(-1));
  return new RecordMaker(path, basename(path), names, { ...options, label }, line);
}
