import { describe, expect, test } from 'vitest';
import { plainLinks, readHtml } from '../../src/decode/html.ts';

describe('visible text', () => {
  test.each([
    ['<p>Hello <b>world</b></p>', 'Hello world'],
    ['Via<!-- noise -->gra', 'Viagra'],
    ['one<br>two<BR/>three', 'one\ntwo\nthree'],
    ['<td>a</td><td>b</td>', 'a b'],
    ['<script>var a = "<b>no</b>";</script>yes', 'yes'],
    ['<STYLE>p { color: red }</Style >yes', 'yes'],
    ['<title>no</title>yes', 'yes'],
    ['a &lt; b &amp;&nbsp;c &#65;&#x42; &eacute; &unknown; &#0;', 'a < b & c AB é &unknown; \ufffd'],
    ['<div style="display:none">no</div>yes', 'yes'],
    ['<span style="font-size: 0px">no <span>no</span> no</span>yes', 'yes'],
    ['<span style="font-size:0.9em">yes</span>', 'yes'],
    ['<p title="a > b">yes</p>', 'yes'],
    ["<p title='never closed>yes", 'yes'],
    ['2 < 3 and 4 > 3', '2 < 3 and 4 > 3'],
    ['<!doctype html><?xml?>yes', 'yes'],
    ['<!--#broken>yes', 'yes'],
    ['<!-->yes', 'yes'],
    ['yes <a href="x', 'yes'],
    ['<', '<'],
    ['', ''],
  ])('%s', (html, text) => {
    expect(readHtml(html).text).toBe(text);
  });
});

describe('links', () => {
  test('tell what they show from where they lead', () => {
    const { links } = readHtml(
      '<A HREF="http://evil.example/?a=1&amp;b=2">www.<b>bank</b>.example</A> and on',
    );
    expect(links).toEqual([{ shown: 'www.bank.example', target: 'http://evil.example/?a=1&b=2' }]);
  });

  test('are found unquoted, in pictures, forms and unclosed', () => {
    const { links } = readHtml(
      '<img src=http://a/x.gif alt="pic"><form action=\'http://b/\'><a href=http://c/>go',
    );
    expect(links).toEqual([
      { shown: 'pic', target: 'http://a/x.gif' },
      { shown: '', target: 'http://b/' },
      { shown: 'go', target: 'http://c/' },
    ]);
  });

  test('are found in plain text', () => {
    expect(plainLinks('see http://a.example/x, or (www.b.example).').map((link) => link.target)).toEqual([
      'http://a.example/x',
      'www.b.example',
    ]);
  });

  test('are bounded in number and length', () => {
    const { links } = readHtml(`<a href="${'x'.repeat(10_000)}">${'y'.repeat(10_000)}</a>`.repeat(2_000));
    expect(links.length).toBe(1_000);
    expect(links[0].target.length).toBeLessThanOrEqual(2_000);
    expect(links[0].shown.length).toBeLessThanOrEqual(300);
  });
});
