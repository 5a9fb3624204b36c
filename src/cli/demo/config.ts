/** The demo's configuration: what a user would write, against the embedded broker. */

export const DEMO_SITE = 'north-gate';

export interface DemoPlaces {
  readonly url: string;
  readonly listen: string;
  readonly folder: string;
  /** Labels of the simulated machines. */
  readonly labels: readonly string[];
}

export function demoConfig({ url, listen, folder, labels }: DemoPlaces): string {
  return `
site: ${DEMO_SITE}
sources:
  plant: { type: mqtt, url: "${url}", version: 4, topics: ["plant/+/telemetry"] }
  mail: { type: mqtt, url: "${url}", version: 4, topics: ["mail/inbound/+"] }
tasks:
  machine:
    from: [plant]
    event: sensor
    device: { topicLevel: 1 }
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
store: { path: ${JSON.stringify(`${folder}/state`)} }
http: { listen: "${listen}" }
monitor: { window: 2s }
`;
}
