/**
 * What `doctor` finds about the machine: Node, processor, memory, clock, and the native core with each backend
 * and the reason where it cannot be used. Never throws: what cannot be found out is a finding too.
 */
import { readFileSync, statSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asSluiceError } from '../../errors.ts';

export interface Finding {
  readonly name: string;
  /** bad: Sluice cannot do its work like this. warn: it can, but a person should know. */
  readonly state: 'ok' | 'warn' | 'bad';
  readonly detail: string;
}

/** Instruction sets that the native core can make use of. */
const FEATURES = ['sse4_2', 'avx', 'avx2', 'fma', 'avx512f', 'avx512vl', 'asimd', 'sve'];
const LEAST_NODE = [20, 19] as const;

export async function examineMachine(now: number): Promise<Finding[]> {
  return [node(), processor(), memory(), clock(now), ...(await backends())];
}

function node(): Finding {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const enough = major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1]);
  const detail = `${process.versions.node} on ${process.platform} ${process.arch}`;
  if (!enough)
    return { name: 'node', state: 'bad', detail: `${detail}; at least ${LEAST_NODE.join('.')} is needed` };
  return { name: 'node', state: 'ok', detail };
}

function processor(): Finding {
  const model = cpus()[0]?.model.trim() || 'unknown model';
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readText('/proc/cpuinfo') ?? '')?.[1].split(/\s+/) ?? [];
  const known = FEATURES.filter((feature) => flags.includes(feature));
  const detail = `${availableParallelism()} × ${model}${known.length > 0 ? ` (${known.join(' ')})` : ''}`;
  return { name: 'cpu', state: 'ok', detail };
}

function memory(): Finding {
  // A container's limit counts, not the memory of the machine under it.
  const limit = Number(readText('/sys/fs/cgroup/memory.max') ?? Number.NaN);
  const total = Number.isFinite(limit) ? Math.min(limit, totalmem()) : totalmem();
  const limited = total < totalmem() ? ' (limit of the container)' : '';
  return {
    name: 'memory',
    state: total < 256 * 1024 ** 2 ? 'warn' : 'ok',
    detail: `${mib(total)} in all${limited}, ${mib(freemem())} free on the machine`,
  };
}

/** A clock before this very file was written is wrong, whatever else it is. */
function clock(now: number): Finding {
  const shown = new Date(now).toISOString();
  const written = statSync(fileURLToPath(import.meta.url)).mtimeMs;
  if (now < written - 86_400_000)
    return {
      name: 'clock',
      state: 'bad',
      detail: `${shown} is before this program was installed; set the clock (NTP)`,
    };
  const synchronised = readText('/run/systemd/timesync/synchronized') !== null;
  return { name: 'clock', state: 'ok', detail: `${shown}${synchronised ? ', synchronised by NTP' : ''}` };
}

async function backends(): Promise<Finding[]> {
  try {
    const { openEngine } = await import('../../model/engine.ts');
    const { loadAddon } = await import('../../model/addon.ts');
    const engine = openEngine();
    const file = basename(loadAddon().path);
    const rows = engine.backends.map(({ name, ok, detail }): Finding => {
      const chosen = name === engine.backend ? ', chosen' : '';
      // The processor is always there; without it nothing can be scored. Others are a gain, not a need.
      return {
        name: `backend ${name}`,
        state: ok ? 'ok' : name === 'cpu' ? 'bad' : 'warn',
        detail: `${detail}${chosen}`,
      };
    });
    return [{ name: 'addon', state: 'ok', detail: `${file}, runs on ${engine.backend}` }, ...rows];
  } catch (thrown) {
    const error = asSluiceError(thrown);
    return [{ name: 'addon', state: 'bad', detail: `${error.message}. ${error.help}` }];
  }
}

export const mib = (bytes: number): string =>
  bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(1)} GiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
