/**
 * Which format a path has: from its kind and name, and where these do not say, from its first 64 KiB.
 * Refuses what it cannot tell, compressed and UTF-16 files, each with what to do instead.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';
import { SluiceError } from '../../errors.ts';
import { fileError } from './lines.ts';

export const formats = ['index', 'mbox', 'maildir', 'eml', 'csv', 'tsv', 'jsonl', 'arff', 'libsvm'] as const;
export type FileFormat = (typeof formats)[number];

const BY_EXTENSION: Readonly<Record<string, FileFormat>> = {
  '.csv': 'csv',
  '.tab': 'tsv',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.arff': 'arff',
  '.libsvm': 'libsvm',
  '.svmlight': 'libsvm',
  '.mbox': 'mbox',
  '.eml': 'eml',
};

async function readHead(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** An index names files: its first or (after a header) second line begins with the path of one. */
async function isIndex(path: string, lines: readonly string[]): Promise<boolean> {
  for (const line of lines.slice(0, 2)) {
    const [first, second] = line.split('\t');
    if (!second || first === '') continue;
    const found = await stat(resolve(dirname(path), first)).catch(() => null);
    if (found?.isFile()) return true;
  }
  return false;
}

function refuse(path: string, why: string): never {
  throw new SluiceError('INPUT_INVALID', `${path}: ${why}`);
}

async function guessFile(path: string): Promise<FileFormat> {
  const head = await readHead(path);
  if (head[0] === 0x1f && head[1] === 0x8b) refuse(path, 'compressed with gzip; unpack it first');
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff))
    refuse(path, 'UTF-16 text; convert it to UTF-8 first');
  if (head.length === 0) refuse(path, 'the file is empty');
  const lines = head
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
    .split(/\r?\n/);
  if (await isIndex(path, lines)) return 'index';
  const byName = BY_EXTENSION[extname(path).toLowerCase()];
  if (byName) return byName;
  if (extname(path).toLowerCase() === '.tsv') return 'tsv';
  return guessContent(path, lines.filter((line) => line.trim() !== '')[0] ?? '', lines);
}

function guessContent(path: string, first: string, lines: readonly string[]): FileFormat {
  if (/^From .*\d\d:\d\d/.test(first)) return 'mbox';
  if (lines.some((line) => /^\s*@relation\b/i.test(line))) return 'arff';
  if (/^\s*\{/.test(first)) return 'jsonl';
  if (/^[^\s,]+(\s+\d+:[^\s,]+)+\s*(#.*)?$/.test(first)) return 'libsvm';
  if (/^[!-9;-~]+:( |$)/.test(first)) return 'eml';
  if (first.includes('\t') && !first.startsWith('"')) return 'tsv';
  if (/[,;\t]/.test(first)) return 'csv';
  return refuse(path, 'the format cannot be told from name or content; name it with --format');
}

/** The format of a file or folder. */
export async function guessFormat(path: string): Promise<FileFormat> {
  try {
    if (!(await stat(path)).isDirectory()) return await guessFile(path);
    const names = await readdir(path);
    return names.includes('cur') || names.includes('new') ? 'maildir' : 'eml';
  } catch (error) {
    throw fileError(path, error);
  }
}
