/**
 * The demo's configurations: what a user would write, against the embedded broker. Two gateways of one fleet, the
 * first of which also is the hub. The machines' models are frozen, so that one sees the hub's work alone; mail is
 * learned at the gateways, on top of what the hub signs. Times are those of a demo: a day's work in minutes.
 */

export const DEMO_SITES = ['north-gate', 'south-gate'] as const;
export type DemoSite = (typeof DEMO_SITES)[number];

export interface DemoPlaces {
  readonly url: string;
  readonly listen: string;
  readonly folder: string;
  /** Of the hub, as `keys new` writes it. */
  readonly key: string;
  /** The hub's public key, as `keys trust` writes it. */
  readonly trust: string;
  /** Lets the page of the first gateway change things. */
  readonly token: string;
  /** Labels of the simulated machines. */
  readonly labels: readonly string[];
}

/** Topics of a site's machines and mailboxes. */
export const demoTopics = (site: DemoSite) => ({ plant: `plant/${site}`, mail: `mail/${site}` });

export function demoConfig(site: DemoSite, places: DemoPlaces): string {
  const { url, listen, folder, labels, token, trust } = places;
  const { plant, mail } = demoTopics(site);
  const first = site === DEMO_SITES[0];
  return `
site: ${site}
sources:
  plant: { type: mqtt, url: "${url}", version: 4, topics: ["${plant}/+/telemetry"] }
  mail: { type: mqtt, url: "${url}", version: 4, topics: ["${mail}/+"] }
tasks:
  machine:
    from: [plant]
    event: sensor
    learning: frozen
    device: { topicLevel: 2 }
    fields:
      temperature: { type: number, unit: °C, range: [-40, 200] }
      vibration: { type: number, unit: mm/s, range: [0, 60] }
      current: { type: number, unit: A, range: [0, 120] }
      pressure: { type: number, unit: bar, range: [0, 16] }
      rpm: { type: number, unit: 1/min, range: [0, 6000] }
      mode: { type: category }
    labels: [${labels.join(', ')}]
  spam: { from: [mail], event: email, labels: [ham, spam] }
sinks:
  broker: { type: mqtt, url: "${url}", version: 4 }
models: { trust: ${JSON.stringify(trust)} }
store: { path: ${JSON.stringify(`${folder}/${site}`)} }
http: { listen: "${first ? listen : '127.0.0.1:0'}", token: "${token}" }
monitor: { window: 1s }
privacy: { show: true }
${first ? hubSection(places) : ''}`;
}

function hubSection({ folder, key }: DemoPlaces): string {
  return `
hub:
  store: ${JSON.stringify(`${folder}/hub`)}
  key: ${JSON.stringify(key)}
  approve: auto
  budget: 6
  retrain: { drift: any, minRows: 600, volume: 0, every: 10m, cooldown: 15s, afterDrift: 800, afterDriftDeadline: 20s }
  gate: { minCount: 200, deadline: 45s, margin: 0.05 }
  rollout: { stages: [canary, fleet], canaryShare: 0.5, minCount: 150, deadline: 45s, watch: 20s, silent: 20s }
`;
}
