/**
 * What a shared library asks of the system it is loaded into, read from its ELF headers by binutils' readelf, and
 * compared with what the packages promise: processor, oldest C library, page size, and that it shows nothing but
 * what Node looks for.
 */
import { execFileSync } from 'node:child_process';
import { Failure } from '../terminal.mjs';
import { LEAST_GLIBC, PAGE_BYTES } from './targets.mjs';

const readelf = (option, file) => execFileSync('readelf', ['-W', option, file], { encoding: 'utf8' });

const byVersion = (a, b) => a.localeCompare(b, 'en', { numeric: true });

/** `{machine, glibc, alignment (least, in bytes), libraries, symbols (defined and visible)}` of an ELF file. */
export function describe(file) {
  const glibc = [...readelf('-V', file).matchAll(/GLIBC_(\d[\d.]*)/g)].map((match) => match[1]);
  const loads = [...readelf('-l', file).matchAll(/^ +LOAD .* (0x[0-9a-f]+)$/gm)].map((match) =>
    Number(match[1]),
  );
  return {
    machine: /Machine: +(.*)/.exec(readelf('-h', file))?.[1],
    glibc: glibc.sort(byVersion).at(-1) ?? '0',
    alignment: Math.min(...loads),
    libraries: [...readelf('-d', file).matchAll(/NEEDED.*\[(.*)\]/g)].map((match) => match[1]),
    symbols: [...readelf('--dyn-syms', file).matchAll(/ GLOBAL +DEFAULT +\d+ (\w+)/g)].map(
      (match) => match[1],
    ),
  };
}

/** Throws a Failure that names every promise a library breaks. `exports` says which symbols it may show. */
export function assertPortable(file, target, exports) {
  const found = describe(file);
  const broken = [];
  if (found.machine !== target.machine) broken.push(`it is for ${found.machine}, not for ${target.machine}`);
  if (byVersion(found.glibc, LEAST_GLIBC) > 0)
    broken.push(`it needs glibc ${found.glibc}, not ${LEAST_GLIBC}`);
  if (!(found.alignment >= PAGE_BYTES)) broken.push(`its segments are aligned to ${found.alignment} bytes`);
  const foreign = found.libraries.filter(
    (name) => !/^(lib(c|m|pthread|dl|rt)|ld-linux[\w-]*)\.so\.\d$/.test(name),
  );
  if (foreign.length > 0) broken.push(`it needs ${foreign.join(', ')}`);
  const shown = found.symbols.filter((name) => !exports.test(name));
  if (shown.length > 0 || found.symbols.length === 0)
    broken.push(`it shows the symbols ${shown.join(', ') || 'none'}`);
  if (broken.length > 0) throw new Failure(`${file} is not fit for a package: ${broken.join('; ')}`);
  return found;
}
