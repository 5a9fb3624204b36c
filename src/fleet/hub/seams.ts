/**
 * What the hub needs of the rest, no wider than it uses it: labelled rows, a place for its memory, a registry, a
 * way to tell a group what to run. Promises nothing itself; each interface says what its maker must keep.
 */
import type {
  Desired,
  Engine,
  Experiment,
  LabelledRow,
  ModelShape,
  Order,
  Registered,
  RowSet,
  Stage,
  Trainer,
} from '../../contract.ts';

/** A task as the hub works on it. */
export interface HubTask {
  readonly name: string;
  readonly event: string;
  readonly labels: readonly string[];
  /** Index of the positive label. */
  readonly positive: number;
  readonly features: string;
  readonly featureOptions: Readonly<Record<string, unknown>>;
  readonly shape: ModelShape;
  /** Whether gateways learn on top of a base. */
  readonly learning: 'online' | 'frozen';
  /** The configured model: always among those tried. */
  readonly first: Experiment;
  readonly seed: number;
}

/** Rows to train on, and what a manifest says of them. */
export interface TrainingRows {
  readonly set: RowSet;
  /** By site the newest journal seq that the hub had. */
  readonly through: Readonly<Record<string, number>>;
  /** Newest label, ms. */
  readonly until: number;
  /** SHA-256 hex over the rows. */
  readonly digest: string;
  /** When the newest withdrawal arrived, ms: a model that learned labels from before it may know what was taken back. */
  readonly withdrawnAt?: number;
  /** Rows that arrive later have a higher position. */
  readonly position: number;
}

export interface UnseenRows {
  /** In order of arrival; of trusted devices; events that the pool had no label of before. */
  readonly rows: readonly LabelledRow[];
  /** The last position looked at; equal to `after` where nothing came. */
  readonly through: number;
}

export interface HubPool {
  /** Durable when it resolves; again is no error. */
  add(rows: readonly LabelledRow[]): Promise<void>;
  /** Everything up to now that may teach: devices trusted, none beyond its share. */
  training(task: HubTask): Promise<TrainingRows>;
  unseen(task: HubTask, after: number, limit: number): Promise<UnseenRows>;
  /** The position of the newest row of any task, 0 while there is none. */
  position(): number;
  /** Whether what the device says is set aside. */
  distrusts(task: string, site: string, device: string): boolean;
}

/** Text under a key that survives a kill: after a failed or cut-off `save` the text from before is there. */
export interface HubState {
  load(key: string): string | null;
  save(key: string, text: string): Promise<void>;
}

/** Of the registry (fleet/registry.ts) what the hub uses; it holds the lock. */
export interface HubRegistry {
  list(task?: string): Registered[];
  live(task: string): Registered | null;
  get(digest: string): Promise<Uint8Array>;
  put(bytes: Uint8Array, reason: string, at: number): Promise<Registered>;
  adopt(digest: string, reason: string, at: number): Promise<Registered>;
  move(digest: string, stage: Stage, reason: string, at: number, by?: string): Promise<Registered>;
  nextVersion(task: string): Promise<number>;
  nextSerial(group: string, task: string): Promise<number>;
  serial(group: string, task: string): number;
  orders(): Promise<Order[]>;
  done(id: string): Promise<void>;
  audit(entry: {
    readonly at: number;
    readonly task: string;
    readonly what: string;
    readonly digest: string;
    readonly reason: string;
    readonly by: string;
  }): Promise<void>;
}

/** Tells a group what it shall run: the pieces of every bundle named first, then the signed word. Again is no error. */
export type Announce = (desired: Desired) => Promise<void>;

/** Packs and signs: the bytes of a bundle, and who signed them (for people). */
export interface Sealing {
  seal(
    manifest: import('../../contract.ts').BundleManifest,
    weights: Uint8Array,
  ): { readonly bytes: Uint8Array; readonly signer: string };
}

export interface HubParts {
  readonly pool: HubPool;
  readonly trainer: Trainer;
  readonly engine: Engine;
  readonly registry: HubRegistry;
  readonly state: HubState;
  readonly announce: Announce;
  readonly sealing: Sealing;
}
