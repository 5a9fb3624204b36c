/**
 * What went wrong with an MQTT connection or publish, as a SluiceError whose text names the broker's
 * host and port and the reason, and never a user, password or the rest of the address.
 */
import { SluiceError } from '../../errors.ts';

/** CONNACK codes of 3.1.1 (4, 5) and reason codes of MQTT 5 that concern who we are. */
const AUTH_CODES: ReadonlySet<unknown> = new Set([4, 5, 0x86, 0x87, 0x8a, 0x8c]);
const VERSION_CODES: ReadonlySet<unknown> = new Set([1, 0x84]);
/** OpenSSL's names for a certificate that one of the sides does not take. */
const CERTIFICATE_CODE =
  /CERT|SELF_SIGNED|UNABLE_TO_|ALERT_(BAD|UNKNOWN_CA|ACCESS|UNSUPPORTED)|TLSV1_ALERT|SSLV3_ALERT|TLSV13_ALERT|ALTNAME/;

/** mosquitto and aedes do not say more. */
const CLOSED = 'the broker closed the connection (as it also does when another client takes the same id)';

/** `mqtts://broker:8883`, without user, password and path. */
export function hostOf(url: string): string {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

/** Why there is no connection to `url`: BROKER_AUTH or BROKER_UNREACHABLE. Both can heal by themselves. */
export function connectionFailure(error: unknown, url: string): SluiceError {
  if (error instanceof SluiceError) return error;
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string };
  const text = message || (typeof code === 'string' ? code : CLOSED);
  const where = hostOf(url);
  if (AUTH_CODES.has(code) || (typeof code === 'string' && CERTIFICATE_CODE.test(code)))
    return new SluiceError('BROKER_AUTH', `${where} refused: ${text}`, { cause: error });
  const hint = VERSION_CODES.has(code) ? ' (the broker does not speak this version; set `version: 4`)' : '';
  return new SluiceError('BROKER_UNREACHABLE', `${where}: ${text}${hint}`, { cause: error });
}

/** Whether the broker said so itself, in a CONNACK, PUBACK or PUBREC. */
export function hasReasonCode(error: Error): boolean {
  return typeof (error as { code?: unknown }).code === 'number';
}

const NOT_AUTHORIZED = 0x87;

/** Whether the broker said that we may not write to this topic. */
export function isForbidden(error: Error): boolean {
  return (error as { code?: unknown }).code === NOT_AUTHORIZED;
}

/**
 * Why the broker did not take a message, by the reason code of its PUBACK or PUBREC (MQTT 5, 3.4.2.1). "Not
 * authorized" (0x87) is about this topic, the connection stands: trying again would only hold up the others.
 */
export function publishFailure(error: Error, topic: string, url: string): SluiceError {
  const { code } = error as { code?: unknown };
  const text = `${hostOf(url)}, topic ${topic}: ${error.message}`;
  if (code === 0x95) return new SluiceError('MESSAGE_TOO_LARGE', text, { cause: error });
  if (code === NOT_AUTHORIZED || code === 0x90 || code === 0x99 || code === 0x9a || code === 0x9b)
    return new SluiceError('BROKER_REFUSED', text, { cause: error });
  return new SluiceError('PUBLISH_FAILED', text, { cause: error });
}
