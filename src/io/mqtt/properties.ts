/**
 * MQTT 5 properties to headers and back. A content type is the header `content-type`, every other header
 * a user property; names in lower case. 3.1.1 has neither.
 */
import type { IClientPublishOptions, IPublishPacket } from 'mqtt';

const NONE: Readonly<Record<string, string>> = Object.freeze({});
const CONTENT_TYPE = 'content-type';

type Properties = NonNullable<IPublishPacket['properties']>;

/** Where a name comes more than once the first value counts. The record has no prototype. */
export function headersOf(properties: Properties | undefined): Readonly<Record<string, string>> {
  if (!properties) return NONE;
  const { userProperties, contentType } = properties;
  if (!userProperties && contentType === undefined) return NONE;
  const headers: Record<string, string> = Object.create(null);
  if (contentType !== undefined) headers[CONTENT_TYPE] = contentType;
  for (const name in userProperties) {
    const value = userProperties[name];
    headers[name.toLowerCase()] ??= typeof value === 'string' ? value : value[0];
  }
  return headers;
}

export function propertiesOf(
  headers: Readonly<Record<string, string>> | undefined,
): IClientPublishOptions['properties'] {
  if (!headers) return undefined;
  const { [CONTENT_TYPE]: contentType, ...userProperties } = headers;
  // mqtt-packet writes a malformed packet for user properties that are there and empty, which no broker answers.
  const some = Object.keys(userProperties).length > 0;
  return { ...(contentType === undefined ? {} : { contentType }), ...(some ? { userProperties } : {}) };
}
