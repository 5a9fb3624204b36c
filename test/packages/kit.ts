/**
 * What npm would publish, packed once a run, and installed into empty folders: as a user does it, with nothing on the
 * PATH but Node and npm. Needs a network (PyPI for the compiler, npm for dependencies).
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

export const root = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);

/** What npm itself starts. Neither a compiler nor CMake nor Python is among them. */
const TOOLS = ['sh', 'env', 'dirname', 'uname', 'sed'];

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function start(program: string, args: readonly string[], options: object = {}): Promise<Ran> {
  const limit = { timeout: 300_000, maxBuffer: 1 << 26, ...options };
  return run(program, args, limit).then(
    ({ stdout, stderr }) => ({ code: 0, out: String(stdout), err: String(stderr) }),
    (error) => ({
      code: Number(error.code ?? 1),
      out: String(error.stdout),
      err: `${error.stderr}${error.message}`,
    }),
  );
}

/** Why the packages cannot be made or tried here, or null. */
export function lacking(): string | null {
  const works = (program: string, ...args: string[]) => {
    try {
      execFileSync(program, args, { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'packages are made on Linux, x64';
  if (!works('python3', '-m', 'pip', '--version')) return 'apt-get install -y python3-pip';
  if (!works('readelf', '--version')) return 'apt-get install -y binutils';
  if (!works('qemu-aarch64-static', '--version')) return 'apt-get install -y qemu-user-static';
  if (!existsSync('/usr/aarch64-linux-gnu/lib/libc.so.6')) return 'apt-get install -y libc6-arm64-cross';
  return null;
}

/** Builds and packs. Resolves to the tarballs by the names of their packages. */
export async function packages(out: string): Promise<Record<string, string>> {
  const script = join(root, 'scripts', 'packages', 'main.mjs');
  const { code, out: text, err } = await start(process.execPath, [script, '--json', '--out', out]);
  if (code !== 0) throw new Error(`packing failed: ${err}`);
  const { packed } = JSON.parse(text) as { packed: { file: string }[] };
  return Object.fromEntries(
    packed.map(({ file }) => [/([^/]*)-\d[^/]*\.tgz$/.exec(file)?.[1] ?? file, file]),
  );
}

export class Installed {
  readonly folder: string;
  readonly #path: string;
  readonly #node: readonly string[];

  /** `node`: the program and first arguments that stand for Node. */
  constructor(folder: string, node: readonly string[] = []) {
    this.folder = folder;
    this.#path = join(folder, 'bin');
    this.#node = node;
    mkdirSync(this.#path, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "name": "gateway", "private": true }\n');
    const npm = join(dirname(process.execPath), 'npm');
    symlinkSync(process.execPath, join(this.#path, 'node'));
    symlinkSync(existsSync(npm) ? npm : which('npm'), join(this.#path, 'npm'));
    for (const name of TOOLS) symlinkSync(which(name), join(this.#path, name));
  }

  get env(): NodeJS.ProcessEnv {
    const { PATH: _, SLUICE_ADDON: __, ...rest } = process.env;
    // Under `npm test` npm's own variables would make the inner npm take this checkout for its project.
    const kept = Object.entries(rest).filter(
      ([name]) => !/^npm_(package|lifecycle|command|node_exec|execpath)/.test(name),
    );
    return { ...Object.fromEntries(kept), PATH: this.#path };
  }

  async npm(...args: string[]): Promise<Ran> {
    return start(join(this.#path, 'npm'), [...args, '--no-audit', '--no-fund'], {
      cwd: this.folder,
      env: this.env,
    });
  }

  /** A script of Node's, in the folder. */
  async node(...args: string[]): Promise<Ran> {
    const [program, ...first] = this.#node.length > 0 ? this.#node : [join(this.#path, 'node')];
    return start(program, [...first, ...args], { cwd: this.folder, env: this.env });
  }

  async sluice(...args: string[]): Promise<Ran> {
    return this.node(join(this.folder, 'node_modules', 'sluice', 'dist', 'src', 'main.js'), ...args);
  }
}

export function which(name: string): string {
  const found = (process.env.PATH ?? '')
    .split(':')
    .map((folder) => join(folder, name))
    .find(existsSync);
  if (!found) throw new Error(`${name} is not on the PATH`);
  return found;
}
