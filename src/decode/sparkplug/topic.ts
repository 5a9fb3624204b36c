/**
 * Sparkplug topics (specification 3.0, chapter 4): `spBv1.0/<group>/<type>/<node>[/<device>]`, also where a bridge put
 * levels before it. Promises: what is of Sparkplug and no business of a reader of data (commands, STATE) is told from
 * what is no Sparkplug topic at all.
 */

export type MessageType = 'NBIRTH' | 'NDATA' | 'NDEATH' | 'DBIRTH' | 'DDATA' | 'DDEATH';

export interface Topic {
  readonly type: MessageType;
  readonly group: string;
  readonly node: string;
  /** '' for the node itself. */
  readonly device: string;
}

const NAMESPACE = 'spBv1.0';
const OF_NODE = new Set(['NBIRTH', 'NDATA', 'NDEATH']);
const OF_DEVICE = new Set(['DBIRTH', 'DDATA', 'DDEATH']);
const OTHERS = new Set(['NCMD', 'DCMD']);
/** Longest group, node or device. */
const MAX_LEVEL = 512;

/** `other`: of Sparkplug, without data. Null: not of Sparkplug. */
export function readTopic(text: string): Topic | 'other' | null {
  const levels = text.split('/', 32);
  const at = levels.indexOf(NAMESPACE);
  if (at < 0) return null;
  const [group, type, node = '', device = ''] = levels.slice(at + 1);
  if (group === 'STATE' || OTHERS.has(type)) return 'other';
  const depth = levels.length - at;
  const fits = (OF_NODE.has(type) && depth === 4) || (OF_DEVICE.has(type) && depth === 5 && device !== '');
  if (!fits || group === '' || node === '') return null;
  if ([group, node, device].some((level) => level.length > MAX_LEVEL)) return null;
  return { type: type as MessageType, group, node, device };
}
