/** The program, or why there is none. See chromium.mjs. */
export function ensureChromium(): Promise<{ readonly path: string } | { readonly missing: string }>;
