/** The program and what it needs in its environment, or why there is none. See mosquitto.mjs. */
export function ensureMosquitto(): Promise<
  { readonly path: string; readonly env: Record<string, string> } | { readonly missing: string }
>;
