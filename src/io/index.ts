/**
 * The table of transports: one row a system. Configuration, lint, schema, docs and the contract tests
 * derive from it; adding a broker is one file and one line here.
 */
import { files } from './files.ts';
import { http } from './http.ts';
import { kafka } from './kafka.ts';
import { memory } from './memory.ts';
import { mqtt } from './mqtt.ts';

export const transports = { mqtt, kafka, http, files, memory } as const;
export type TransportName = keyof typeof transports;
