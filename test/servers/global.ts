/**
 * vitest's global set-up: a folder for the run, in which servers that test files share leave their address and
 * pid (`<name>.json`), and their end when the run ends. Starts nothing itself: a run that needs no broker pays nothing.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The run's folder, and the process with which shared servers end. */
    sluiceRun: { readonly folder: string; readonly pid: number };
  }
}

let folder = '';

export async function setup(project: TestProject): Promise<void> {
  folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-run-'));
  project.provide('sluiceRun', { folder, pid: process.pid });
}

export async function teardown(): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.json')) continue;
    const server = JSON.parse(await readFile(path.join(folder, name), 'utf8'));
    try {
      process.kill(server.pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
    if (server.folder) await rm(server.folder, { recursive: true, force: true, maxRetries: 10 });
  }
  await rm(folder, { recursive: true, force: true });
}
