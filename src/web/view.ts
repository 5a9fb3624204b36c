/**
 * What the dashboard shows, as the JSON of `/api/overview` and `/api/live`: types alone, shared by the server and
 * the page. Times are ms since the epoch, rates are a second, shares are 0 to 1. Every list is bounded; what a
 * process lacks is null (a gateway has no registry, a hub no verdicts). Texts are plain text for people and may hold
 * anything that a device or a sender chose: they are shown as text, never as HTML.
 */

/** How a thing is to be read at a glance; colour is never the only sign. */
export type Tone = 'good' | 'calm' | 'warn' | 'bad';

export type Range = 'hour' | 'day';

/** What one page looks at. */
export interface Selection {
  /** '' is the first task. */
  readonly task: string;
  /** '' is all sites together. */
  readonly site: string;
  readonly range: Range;
}

/** Something that can be done about a need. */
export type NeedAction =
  | { readonly kind: 'see'; readonly label: string; readonly target: string }
  | { readonly kind: 'model'; readonly label: string; readonly what: ModelAction; readonly digest: string }
  | {
      readonly kind: 'span';
      readonly label: string;
      readonly device: string;
      readonly from: number;
      readonly to: number;
    };

export type NeedKind = 'drift' | 'candidate' | 'dead' | 'ready' | 'silent' | 'stopped' | 'refused';

/** Something that waits for a person. */
export interface Need {
  /** Stable while it lasts. */
  readonly id: string;
  readonly kind: NeedKind;
  readonly tone: Tone;
  /** '' where it concerns the process. */
  readonly task: string;
  readonly title: string;
  readonly text: string;
  readonly since: number | null;
  readonly actions: readonly NeedAction[];
}

export type StageName = 'collect' | 'prepare' | 'train' | 'test' | 'deploy' | 'watch';

/** One of the six stages: a figure and what it means. */
export interface StageView {
  readonly name: StageName;
  readonly figure: string;
  readonly note: string;
  readonly tone: Tone;
}

/** Something that happened, drawn into the charts. */
export interface Mark {
  readonly at: number;
  readonly kind: 'drift' | 'over' | 'model';
  /** `v2` of a model, the stream of a drift. */
  readonly text: string;
  readonly site: string;
}

export type Column = 'measured' | 'estimated' | 'rate' | 'p50' | 'p95' | 'p99' | 'unsettled' | 'outbox';

/** The time series of the selection. In a delta only the points from `from` on: they replace what the page had from there. */
export interface SeriesView extends Selection {
  readonly resolutionMs: number;
  readonly from: number;
  readonly at: readonly number[];
  readonly columns: Readonly<Record<Column, readonly (number | null)[]>>;
  readonly marks: readonly Mark[];
}

export interface TaskView {
  readonly name: string;
  readonly kind: 'mail' | 'reading';
  readonly labels: readonly string[];
  readonly state: 'learning' | 'live';
  readonly sites: readonly string[];
  readonly verdicts: number;
  readonly rate: number | null;
  /** Of the verdicts whose label came, and how many these are. */
  readonly accuracy: number | null;
  readonly tested: number;
  /** What confidence tells where no label came. */
  readonly estimated: number | null;
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number } | null;
  readonly labelsLearned: number;
  readonly dead: number;
  /** `v2`, or what else names the base that runs here. */
  readonly model: string | null;
}

/** Good mail that was called spam, of all that a person confirmed as good. */
export interface GoodView {
  /** The label that must not be lost: `ham`. */
  readonly label: string;
  readonly lost: number;
  readonly confirmed: number;
  /** One-sided 95 % upper bound of the share lost (Clopper-Pearson 1934). */
  readonly atMost: number;
}

export interface RecentView {
  readonly task: string;
  readonly site: string;
  readonly event: string;
  readonly at: number;
  /** Masked where it is private. */
  readonly device: string;
  readonly masked: boolean;
  /** null while the task has no sufficient model. */
  readonly label: string | null;
  /** Of the label that was given (the anomaly score where there is none). */
  readonly score: number | null;
  readonly model: string;
  /** What should become of it, and why; null where nothing is decided beyond the label. */
  readonly action: 'none' | 'unsure' | 'tag' | 'hold' | null;
  readonly actionReason: 'allowed' | 'correspondent' | 'evidence' | 'threshold' | null;
  /** The features that decided, strongest first; null while they are not known. */
  readonly reasons: readonly string[] | null;
  /** The label that a person gave from here, if any. */
  readonly given: string | null;
}

export interface DeadView {
  readonly id: string;
  readonly task: string;
  readonly code: string;
  readonly message: string;
  readonly at: number;
  readonly source: string;
  readonly topic: string;
  readonly bytes: number;
  /** Marked to go through the flow again. */
  readonly replaying: boolean;
}

export interface ModelView {
  readonly task: string;
  readonly digest: string;
  readonly version: number;
  readonly kind: string;
  readonly stage: 'candidate' | 'canary' | 'live' | 'retired' | 'rejected';
  readonly since: number;
  readonly reason: string;
  readonly trainedRows: number;
  readonly bytes: number;
  readonly signer: string | null;
  /** On unseen events; the interval is that of the log-loss, 95 %. */
  readonly quality: {
    readonly tested: number;
    readonly accuracy: number;
    readonly logLoss: number;
    readonly interval: readonly [number, number];
  } | null;
  /** Against the model that runs, in percentage points; `by` is the half width of its 95 % interval. */
  readonly gain: { readonly points: number; readonly by: number; readonly tested: number } | null;
  /** Log-loss of the model that runs and of this one on the same unseen rows, as the gate saw them. */
  readonly compared?: { readonly rows: number; readonly before: number; readonly after: number } | null;
  /** Waits for a person's word. */
  readonly waiting: boolean;
  readonly runsOn: readonly string[];
  readonly of: number;
}

export interface RolloutView {
  readonly task: string;
  readonly digest: string;
  readonly version: number;
  readonly mode: 'gate' | 'approval' | 'shadow' | 'canary' | 'live' | 'watch';
  readonly since: number;
  readonly deadline: number | null;
  readonly tested: number;
  readonly needed: number | null;
  readonly sites: readonly string[];
  readonly paused: boolean;
  readonly text: string;
}

export interface GatewayView {
  readonly site: string;
  readonly group: string;
  readonly presence: 'online' | 'offline' | 'silent';
  readonly lastSeen: number | null;
  readonly tasks: readonly {
    readonly task: string;
    /** `v2`; null: blank. */
    readonly model: string | null;
    readonly labels: number;
    readonly state: 'running' | 'fetching' | 'refused';
    readonly reason: string;
    readonly rate: number | null;
    readonly accuracy: number | null;
  }[];
}

export interface AuditView {
  readonly at: number;
  readonly who: string;
  readonly what: string;
  readonly task: string;
  readonly model: string;
  readonly why: string;
}

/** What can be done from this page, before the question who asks. */
export interface Abilities {
  /** Whether a token is configured; without one nothing can be changed. */
  readonly token: boolean;
  readonly feedback: boolean;
  readonly dead: boolean;
  readonly models: boolean;
  readonly find: boolean;
}

/** The whole page. */
export interface Overview {
  readonly at: number;
  readonly site: string;
  readonly version: string;
  readonly backend: string;
  readonly role: 'gateway' | 'hub' | 'both';
  readonly ready: { readonly ok: boolean; readonly reasons: readonly string[] };
  readonly selection: Selection;
  readonly needs: readonly Need[];
  readonly stages: readonly StageView[];
  readonly tasks: readonly TaskView[];
  readonly series: SeriesView | null;
  readonly good: GoodView | null;
  readonly recent: readonly RecentView[] | null;
  /** The newest; `more`: there are others. */
  readonly dead: { readonly more: boolean; readonly letters: readonly DeadView[] } | null;
  readonly models: readonly ModelView[] | null;
  readonly rollouts: readonly RolloutView[] | null;
  /** Those that need a look first; `fleet` counts all. */
  readonly gateways: readonly GatewayView[] | null;
  readonly fleet: { readonly total: number; readonly online: number } | null;
  /** Of the hub. */
  readonly audit: readonly AuditView[] | null;
  readonly can: Abilities;
}

// ---------------------------------------------------------------- what the page sends

export type ModelAction = 'promote' | 'reject' | 'rollback' | 'pause' | 'resume' | 'stop';

/** One event, or every reading of a device in a span. `label: null` withdraws. */
export type FeedbackRequest =
  | { readonly task: string; readonly event: string; readonly label: string | null }
  | {
      readonly task: string;
      readonly device: string;
      readonly from: number;
      readonly to: number;
      readonly label: string | null;
    };

/** What became of a request, in words. */
export interface ActionReply {
  readonly ok: boolean;
  readonly text: string;
  /** Taken, but it waits for its event. */
  readonly waiting?: boolean;
  /** Not done, but the same may be done later. */
  readonly retry?: boolean;
}

/** What was found; `truth` is the label that was learned for it. */
export interface FoundView extends RecentView {
  readonly truth: string | null;
}

export interface FindReply {
  readonly found: readonly FoundView[];
  /** In words: how the question was read, or that there is more. */
  readonly note: string;
}
