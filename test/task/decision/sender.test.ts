import { expect, test } from 'vitest';
import { readResults } from '../../../src/task/decision/results.ts';
import { readSender } from '../../../src/task/decision/sender.ts';
import { mail } from './kit.ts';

const MX = 'mx.example.org';
const from = (...lines: readonly string[]) => readSender(mail(...lines), MX);
const known = (results: string, address = 'Jane Doe <jane@friend.example>') =>
  from('Received: from a by b', `Authentication-Results: ${results}`, `From: ${address}`)?.authenticated;

test('From is one mailbox, in plain ASCII, or there is no sender', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['jane@friend.example', 'jane@friend.example'],
    ['  Jane <JANE@Friend.Example>', 'jane@friend.example'],
    ['"Doe, Jane (\\"j\\")" <jane@friend.example>', 'jane@friend.example'],
    ['Jane (of <x@y.example>, friends) <jane@friend.example>', 'jane@friend.example'],
    ['"jane@friend.example" <mallory@evil.example>', 'mallory@evil.example'],
    ['<jane@friend.example> <mallory@evil.example>', ''],
    ['jane@friend.example, mallory@evil.example', ''],
    ['jane@friend.example <mallory@evil.example> x', ''],
    ['=?utf-8?q?=3Cjane=40friend.example=3E?=', ''],
    ['j\u00e4ne@friend.example', ''],
    ['"a b"@friend.example', ''],
    ['jane@', ''],
    ['Jane', ''],
    [`${'a'.repeat(400)}@friend.example`, ''],
    ['"not closed <jane@friend.example>', ''],
  ];
  for (const [text, address] of cases) expect(from(`From: ${text}`)?.address, text).toBe(address);
  expect(from('From: jane@friend.example', 'from : mallory@evil.example')?.address).toBe('');
  expect(from('Subject: x')?.address).toBe('');
  expect(from('From: Jane', '\t<jane@friend.example>')?.address).toBe('jane@friend.example');
});

test('a sender is authenticated where the own server found From signed or aligned, and only there', () => {
  const good = [
    `${MX}; dkim=pass header.d=friend.example header.s=k`,
    `MX.Example.ORG 1; spf=fail smtp.mailfrom=x@y; dkim=pass (2048-bit; key) header.i=@friend.example`,
    `${MX}; dmarc=pass (p=none dis=none) header.from=friend.example`,
    `${MX};dkim=fail header.d=evil.example;dkim=pass reason="a; b" header.d="Friend.example"`,
  ];
  for (const results of good) expect(known(results), results).toBe(true);
  expect(known(`${MX}; dkim=pass header.d=friend.example`, 'jane@mail.friend.example')).toBe(true);
  const bad = [
    `${MX}; none`,
    `${MX}; dkim=none`,
    `${MX}; dkim=pass`,
    `${MX}; dkim=fail header.d=friend.example`,
    `${MX}; dkim=pass header.d=evil.example`,
    `${MX}; dkim=pass header.d=mail.friend.example`,
    `${MX}; dkim=pass header.d=notfriend.example`,
    `${MX}; dkim=pass header.d=example`,
    `${MX}; spf=pass smtp.mailfrom=jane@friend.example`,
    `${MX}; dmarc=fail header.from=friend.example; dkim=pass header.d=friend.example`,
    `mx.evil.example; dkim=pass header.d=friend.example`,
    `${MX}.evil.example; dkim=pass header.d=friend.example`,
    `(${MX}; dkim=pass header.d=friend.example`,
  ];
  for (const results of bad) expect(known(results), results).toBe(false);
  expect(readSender(mail('From: jane@friend.example'), null)?.authenticated).toBe(false);
});

test('what a stranger writes into the results never becomes structure', () => {
  const bad = [
    `${MX}; spf=pass smtp.mailfrom="x; dkim=pass header.d=friend.example"@evil.example`,
    `${MX}; spf=pass (said x; dkim=pass header.d=friend.example) smtp.mailfrom=a@evil.example`,
    `${MX}; spf=pass smtp.mailfrom==?utf-8?q?x=3B_dkim=3Dpass_header.d=3Dfriend.example?=@evil.example`,
    `${MX}; dkim=pass header.d="evil.example; dmarc=pass header.from=friend.example"`,
    `${MX}; dkim=pass header.d=evil.example header.d=friend.example`,
    `${MX}; spf=pass smtp.mailfrom="x\\"; dkim=pass header.d=friend.example; y="`,
    `${MX}; dmarc=none header.from=friend.example; spf=pass smtp.mailfrom=x; dmarc=pass header.from=friend.example`,
  ];
  for (const results of bad) expect(known(results), results).toBe(false);
  expect(readResults(`${MX}; dkim=pass header.d="a`, MX)).toBe(null);
  expect(readResults(`${MX}; dkim=pass header.d=a (b (c)`, MX)).toBe(null);
  expect(readResults('', MX)).toBe(null);
});

test('results that came with the mail lie below those of the server and are not believed', () => {
  const own = `Authentication-Results: ${MX}; dkim=none`;
  const forged = `Authentication-Results: ${MX}; dkim=pass header.d=friend.example`;
  const lines = ['Received: from evil by mx', own, 'Received: x', forged, 'From: jane@friend.example'];
  expect(from(...lines)?.authenticated).toBe(false);
  expect(
    from('Authentication-Results: other; none', forged, own, 'From: jane@friend.example')?.authenticated,
  ).toBe(true);
});

test('recipients are those of a mail that a user sent logged in', () => {
  const list = ['To: "A, B" <a@x.example>, undisclosed:;', 'Cc: b@y.example,', ' <C@z.example>'];
  const sent = from(
    `Authentication-Results: ${MX}; auth=pass smtp.auth=jane`,
    ...list,
    'From: jane@example.org',
  );
  expect(sent?.recipients.filter((address) => address !== '')).toEqual([
    'a@x.example',
    'b@y.example',
    'c@z.example',
  ]);
  expect(from(`Authentication-Results: ${MX}; dkim=pass header.d=example.org`, ...list)?.recipients).toEqual(
    [],
  );
  const many = `To: ${Array.from({ length: 5_000 }, (_, i) => `a${i}@x.example`).join(', ')}`;
  expect(from(`Authentication-Results: ${MX}; auth=pass`, many)?.recipients).toHaveLength(100);
});

test('no header section is slow, however it is made', () => {
  const evil = [
    `From: ${'('.repeat(60_000)}`,
    `From: ${'<'.repeat(60_000)}`,
    `From: ${'"a" '.repeat(15_000)}<a@b.example>`,
    `From: ${',a@b.example'.repeat(5_000)}`,
    `Authentication-Results: ${MX}; ${'dkim=pass header.d=a;'.repeat(3_000)}`,
    `To:${'\r\n '.repeat(20_000)}`,
    ...[`From: ${'a.'.repeat(30_000)}@b`, `From: ${' '.repeat(60_000)}x`],
  ];
  for (const line of evil) {
    const began = performance.now();
    from(line, `Authentication-Results: ${MX}; auth=pass`);
    expect(performance.now() - began, line.slice(0, 30)).toBeLessThan(250);
  }
});
