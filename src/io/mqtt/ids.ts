/**
 * The client ids under which sources, sinks and feedback connect. They are stable, for the broker keeps sessions
 * by them, and must differ on one broker, which ends a connection when another comes with its id (MQTT 5,
 * 3.1.4): so the configuration is checked with these same functions.
 */

/** Of a source or a sink: its `session`, else made of site and name. */
export function clientIdOf(site: string, name: string, session?: string): string {
  return session ?? `sluice-${site}-${name}`;
}

/** Of one feedback subscription; `name` tells those of one sink apart, `session` is the sink's. */
export function feedbackIdOf(site: string, name: string, session?: string): string {
  return `${session ?? `sluice-${site}`}-${name}-feedback`;
}

/** What openFeedback is given as a name for one task of a sink. */
export function feedbackName(sink: string, task: string): string {
  return `${sink}-${task}`;
}
