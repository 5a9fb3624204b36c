import { describe, expect, test } from 'vitest';
import { linkMarks } from '../../src/features/links.ts';

describe('the marks of a link', () => {
  test.each<[shown: string, target: string, marks: string[]]>([
    [
      'http://Shop.Example.com/Buy/now.php?x=1',
      'http://Shop.Example.com/Buy/now.php?x=1',
      [
        'scheme http',
        'host shop.example.com',
        'host example.com',
        'host com',
        'path buy',
        'path now.php',
        'query',
      ],
    ],
    [
      'click',
      'https://user:pw@10.1.2.3:8080/a%20b#c',
      [
        ...['scheme https', 'user in address', 'port 8080', 'host is a number'],
        ...['host 10.1.2.3', 'host 1.2.3', 'host 2.3', 'host 3', 'path a%20b', 'escaped'],
      ],
    ],
    ['', 'mailto:a@b.example', ['scheme mailto', 'host b.example', 'host example', 'shows nothing']],
    ['more', 'pictures/Logo.gif', ['relative pictures/logo.gif']],
    ['more', '', ['relative ']],
    ['more', ':x', ['relative :x']],
    ['0x', 'http://0x7f000001/', ['scheme http', 'host is a number', 'host 0x7f000001']],
    ['x', 'http://', ['scheme http', 'host ']],
    ['x', 'news:a:1:2', ['scheme news', 'port 2', 'host a:1']],
  ])('%s to %s', (shown, target, marks) => expect(linkMarks(shown, target)).toEqual(marks));

  test.each([
    ['http://bank.example/login', 'http://evil.test/', true],
    ['www.bank.example', 'http://login.bank.example/', false],
    ['visit WWW.Bank.Example today', 'http://bank.example/', false],
    ['bank.example', 'http://evil.test/', false],
    ['http://bank.example', 'http://notbank.example', true],
    ['http://example', 'http://a.example', false],
  ])('%s over %s shows another host: %s', (shown, target, isOther) => {
    expect(linkMarks(shown, target).includes('shows another host')).toBe(isOther);
  });

  test('are few and short, however long the address', () => {
    for (const target of [
      `http://${'a.'.repeat(50_000)}b`,
      `http://a${'/b'.repeat(50_000)}`,
      `http://${'a'.repeat(100_000)}`,
      `http://a:${'1'.repeat(100_000)}`,
      `${'a'.repeat(100_000)}:b`,
    ]) {
      const marks = linkMarks(target, target);
      expect(marks.length).toBeLessThan(25);
      for (const mark of marks) expect(mark.length).toBeLessThan(320);
    }
  });
});
