/** The fields of a SenML record (RFC 8428 sections 4.1 to 4.3) as they come, before anything is said of their values. */

/** In the order of their CBOR labels, -6 to 8. */
export const LABELS = [
  ...['bs', 'bv', 'bu', 'bt', 'bn', 'bver'],
  ...['n', 'u', 'v', 'vs', 'vb', 's', 't', 'ut', 'vd'],
] as readonly (keyof SenmlRecord)[];

export interface SenmlRecord {
  bn?: unknown;
  bt?: unknown;
  bu?: unknown;
  bv?: unknown;
  bs?: unknown;
  bver?: unknown;
  n?: unknown;
  u?: unknown;
  v?: unknown;
  vs?: unknown;
  vb?: unknown;
  vd?: unknown;
  s?: unknown;
  t?: unknown;
  ut?: unknown;
}
