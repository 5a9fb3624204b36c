export const KAFKA_VERSION: string;
/** The nearest folder upwards with a package-lock.json. */
export function repositoryRoot(from?: string): string;
/** `missing` is a sentence with the command that mends it. */
export function ensureKafka(): Promise<
  | { readonly classpath: string; readonly java: string; readonly missing?: undefined }
  | { readonly missing: string }
>;
