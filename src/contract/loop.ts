/**
 * The types of the closed loop: drift, labelled rows on their way to the hub, training, bundles, the
 * registry, roll-outs. Like contract.ts, which hands them on: no code.
 */
import type { Health, ModelShape, Rows } from '../contract.ts';

// ---------------------------------------------------------------- drift

/** One stream of numbers, watched for a change. Deterministic; `save` and restore give the same future. */
export interface Detector {
  /** Takes one value. True at the value with which a change is told; the detector has then begun anew. */
  update(value: number): boolean;
  reset(): void;
  /** JSON; the table of detectors restores it. */
  save(): string;
}

/** A change that was told. Goes to the `drift` topic. */
export interface Alarm {
  readonly task: string;
  /** What was watched: `logLoss`, `margin`, `score`, `verdicts`, `feature:vibration`, `missing:vibration`, `volume`, `latency`, … */
  readonly stream: string;
  readonly detector: string;
  /** `drift` when it begins, `over` when the stream is back or the reference was taken anew. */
  readonly state: 'drift' | 'over';
  readonly statistic: number;
  readonly threshold: number;
  /** How many values (or windows) it was told from. */
  readonly window: number;
  /** `<bundle digest>+<labels>` that ran. */
  readonly model: string;
  /** When it was told, and since when it probably holds, ms. */
  readonly at: number;
  readonly since: number;
  /** Level before and now, in the stream's own unit. */
  readonly before: number;
  readonly now: number;
  /** Where it shows most, strongest first; empty where that is not known. */
  readonly features: readonly string[];
  readonly devices: readonly string[];
}

// ---------------------------------------------------------------- labelled rows

/** Log-losses of one labelled row under the model that runs and its companion, both before they learned it. */
export interface PairedLoss {
  /** Digests of the bases. */
  readonly live: string;
  readonly liveLoss: number;
  readonly other: string;
  readonly otherLoss: number;
}

/** One labelled row as a gateway tells it to the hub. `(site, task, event)` names it; a higher `seq` replaces. */
export interface LabelledRow {
  readonly site: string;
  readonly task: string;
  /** Rising within a site: the gateway's journal. */
  readonly seq: number;
  readonly event: string;
  readonly device: string;
  /** The event's time and the label's, ms. */
  readonly at: number;
  readonly labelledAt: number;
  /** Label index; -1 withdraws. */
  readonly label: number;
  readonly weight: number;
  readonly origin: string;
  /** Task.features: rows of different ones never mix. */
  readonly features: string;
  /** Exactly one row, standing alone. */
  readonly rows: Rows;
  /** Probabilities given at verdict time, the label index given (-1: none), and by which model. */
  readonly scores: Float32Array;
  readonly predicted: number;
  readonly model: string;
  readonly paired: PairedLoss | null;
}

/** Labelled rows to train and test on, in order of time (oldest first). */
export interface RowSet {
  readonly features: string;
  readonly rows: Rows;
  /** Label indices, >= 0. */
  readonly labels: Int32Array;
  readonly weights: Float32Array;
  /** ms, never falling. */
  readonly at: Float64Array;
}

// ---------------------------------------------------------------- training

/** One configuration to try. */
export interface Experiment {
  readonly kind: string;
  readonly options: Readonly<Record<string, number>>;
  /** How often the training rows are gone through, >= 1. */
  readonly passes: number;
  /** Only the newest so many training rows are used; 0: all. */
  readonly newest: number;
  /** Goes on from `TrainRequest.start` instead of a model that knows nothing; its options are those of the start. */
  readonly continued?: boolean;
}

/** Mean quality on rows that the model had not learned. */
export interface Measured {
  readonly tested: number;
  readonly accuracy: number;
  readonly logLoss: number;
  /** 95 % interval of the log-loss. */
  readonly interval: readonly [number, number];
}

export interface Trial {
  readonly experiment: Experiment;
  /** Which round of halving it reached, from 1, and how many rows it had learned there. */
  readonly round: number;
  readonly trainedRows: number;
  readonly validation: Measured;
  readonly modelBytes: number;
  /** Rows learned a second. */
  readonly rate: number;
}

export interface TrainRequest {
  readonly set: RowSet;
  readonly shape: ModelShape;
  readonly labels: readonly string[];
  /** How many configurations; 1 trains the first one alone. */
  readonly budget: number;
  /** The configured one: always among those tried. */
  readonly first: Experiment;
  /** Of the rows, the newest so large a part validates. */
  readonly validation: number;
  /** Model bytes to go on from as one more contender (the live base); null: none. */
  readonly start: Uint8Array | null;
  /** The newest `at` that `start` has learned: it goes on behind it, and takes no part where that reaches into the validation rows. Left out: the caller knows that it does not. */
  readonly startUntil?: number;
  /** Model kinds that drawn configurations may have; left out: that of `first` alone. */
  readonly kinds?: readonly string[];
  readonly seed: number;
}

export interface TrainResult {
  /** Best first. */
  readonly leaderboard: readonly Trial[];
  readonly winner: Trial;
  /** The winner, trained again on training and validation rows together. */
  readonly model: Uint8Array;
}

export interface Trainer {
  /** Same request, same result. Rejects with TRAINING_FAILED, or when `signal` aborts. */
  train(request: TrainRequest, signal?: AbortSignal): Promise<TrainResult>;
}

// ---------------------------------------------------------------- bundles

/** The first part of a bundle file; everything that a gateway judges before it loads a byte of weights. */
export interface BundleManifest {
  readonly format: 1;
  readonly task: string;
  /** A number that rises with each model of a task, for people: `v3`. */
  readonly version: number;
  readonly labels: readonly string[];
  readonly positive: string;
  readonly kind: string;
  readonly options: Readonly<Record<string, number>>;
  readonly shape: ModelShape;
  /** Task.features, and the options that lead to it. */
  readonly features: string;
  readonly featureOptions: Readonly<Record<string, unknown>>;
  readonly event: string;
  readonly training: {
    readonly rows: number;
    /** SHA-256 hex over the training rows. */
    readonly digest: string;
    /** By site the last journal seq that training could know; what came after is replayed there. */
    readonly through: Readonly<Record<string, number>>;
    /** Newest label, ms: the cut-off for sites that are not in `through`. */
    readonly until: number;
    /** Rows learned of each label. */
    readonly counts: readonly number[];
    readonly seed: number;
    readonly passes: number;
  };
  /** On rows that no model had learned. */
  readonly quality: Measured | null;
  /** Digest of the bundle that it was made to replace, or null. */
  readonly parent: string | null;
  readonly created: number;
  /** Not installed after this, ms. */
  readonly expires: number;
}

/** A bundle whose digests and signature were checked. */
export interface Bundle {
  /** SHA-256 of the whole file, 64 hex digits: its name everywhere. */
  readonly digest: string;
  readonly manifest: BundleManifest;
  /** What Engine.load takes. */
  readonly weights: Uint8Array;
  /** Who signed it, or null. */
  readonly signer: string | null;
  readonly size: number;
}

export type Stage = 'candidate' | 'canary' | 'live' | 'retired' | 'rejected';

export interface Registered {
  readonly digest: string;
  readonly stage: Stage;
  /** When it came to this stage, ms, and why. */
  readonly since: number;
  readonly reason: string;
  readonly size: number;
  readonly signer: string | null;
  readonly manifest: BundleManifest;
}

/** What an operator asks of a hub; kept in the registry's folder until the hub has done it. */
export interface Order {
  readonly id: string;
  readonly task: string;
  readonly what: 'promote' | 'reject' | 'rollback' | 'pause' | 'resume' | 'stop';
  /** Digest; empty where none is needed. */
  readonly digest: string;
  readonly by: string;
  readonly at: number;
}

// ---------------------------------------------------------------- deployment

/** Which bytes: enough to fetch and to check them. */
export interface BundleRef {
  readonly digest: string;
  readonly version: number;
  readonly size: number;
  /** Pieces of 256 KiB. */
  readonly chunks: number;
}

/** The retained word of the hub on what a group shall run. Signed; `serial` only rises. */
export interface Desired {
  readonly group: string;
  readonly task: string;
  readonly serial: number;
  /** The model of the group; all null while there is none. */
  readonly digest: string | null;
  readonly version: number | null;
  readonly size: number | null;
  readonly chunks: number | null;
  /** A model that some sites run (canary) or watch (shadow) beside it. */
  readonly candidate:
    | (BundleRef & { readonly mode: 'shadow' | 'canary'; readonly sites: readonly string[] })
    | null;
  /** Sites keep this one in memory and compare with it; null: none. */
  readonly compare: BundleRef | null;
  readonly at: number;
}

/** The retained word of a gateway on what it runs. */
export interface Actual {
  readonly site: string;
  readonly group: string;
  readonly task: string;
  /** The base that really runs (null: blank) and the labels learned on it here. */
  readonly digest: string | null;
  readonly labels: number;
  /** The model it is compared with, or null. */
  readonly companion: string | null;
  /** The highest serial followed. */
  readonly serial: number;
  readonly state: 'running' | 'fetching' | 'refused';
  /** With `refused`: `CODE: sentence`. */
  readonly reason: string;
  readonly at: number;
}

/** Values that stay on a broker under a name: MQTT retained messages, a compacted Kafka topic. Names use `/`. */
export interface Board {
  /** Resolves when the broker has it. null removes. Rejects with a SluiceError. */
  put(name: string, payload: Uint8Array | string | null): Promise<void>;
  /**
   * Calls back with each value that is there under a matching name, then with each new one, until `stop`.
   * `+` stands for one level. The same value may come again (after a reconnect).
   */
  watch(pattern: string, seen: (name: string, payload: Uint8Array) => void): { stop(): Promise<void> };
  health(): Health;
  close(): Promise<void>;
}
