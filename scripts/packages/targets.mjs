/**
 * The platforms that have a package of their own, in the names of @napi-rs/cli, and how their addon is built. All
 * for Linux are compiled by one compiler, Zig's clang, because it can link against an older C library than the
 * machine's: built by Debian 12's own g++ the addon would need glibc 2.36.
 */

/** The oldest C library the packages for Linux run on. src/model/addon.ts says it to users. */
export const LEAST_GLIBC = '2.17';

/** Largest pages of a kernel (arm64 of some distributions): segments must be aligned to them. */
export const PAGE_BYTES = 65_536;

/**
 * `machine` is what readelf calls the processor. `cmake` are options of cmake-js for a processor that is not this
 * one's. The rows without a triple are laid out, but need a builder of their own system.
 */
export const TARGETS = [
  {
    name: 'linux-x64-gnu',
    rust: 'x86_64-unknown-linux-gnu',
    zig: `x86_64-linux-gnu.${LEAST_GLIBC}`,
    arch: 'x64',
    machine: 'Advanced Micro Devices X86-64',
    processor: 'x86_64',
  },
  {
    name: 'linux-arm64-gnu',
    rust: 'aarch64-unknown-linux-gnu',
    zig: `aarch64-linux-gnu.${LEAST_GLIBC}`,
    arch: 'arm64',
    machine: 'AArch64',
    processor: 'aarch64',
  },
  { name: 'darwin-arm64', rust: 'aarch64-apple-darwin' },
  { name: 'darwin-x64', rust: 'x86_64-apple-darwin' },
  { name: 'win32-x64-msvc', rust: 'x86_64-pc-windows-msvc' },
];

export const buildable = TARGETS.filter((target) => target.zig);

export function findTarget(name) {
  const target = buildable.find((row) => row.name === name);
  if (!target) throw new Error(`there is no target ${name}; there are ${buildable.map((row) => row.name)}`);
  return target;
}
