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
    // WHATWG HTML 13.5: numbers of windows-1252, names without semicolon, prefixes of old names
    ['&#149;&#x80;&copy &nbspx &euro; &EURO; &notit; &#x1f600;', '•€© x € € ¬it; 😀'],
    ['a&shy;b&zwnj;c', 'abc'],
    ['<option>one<option>two', 'one\ntwo'],
    ['a<textarea>b</textarea>c', 'a\nb\nc'],
    ['日本<b>語</b>', '日本語'],
  ])('%s', (html, text) => {
    expect(readHtml(html).text).toBe(text);
  });
});

describe('hidden text', () => {
  test.each([
    ['display', 'Vi<span style="display:none">x y</span>agra', 'Viagra', 'x y'],
    ['visibility', '<b style="visibility : hidden">no</b>yes', 'yes', 'no'],
    ['the attribute', '<p hidden>no<p>yes', 'yes', 'no'],
    ['a size of nothing', '<b style="font-size:0">no</b>yes', 'yes', 'no'],
    ['a size of one pixel', '<b style="font-size:1px !important">no</b>yes', 'yes', 'no'],
    ['a size in a shorthand', '<b style="font:0/0 a">no</b>yes', 'yes', 'no'],
    ['the colour of the page', '<font color=white>no</font>yes', 'yes', 'no'],
    ['nearly the colour of the page', '<font color="#fefefe">no</font>yes', 'yes', 'no'],
    ['a colour in a style', '<i style="color:rgb(255, 255,255)">no</i>yes', 'yes', 'no'],
    ['the colour of a cell', '<td bgcolor=navy><font color="#000080">no</font>yes', 'yes', 'no'],
    ['a cell as black as text', '<td bgcolor=black>no<font color=red>yes', 'yes', 'no'],
    ['the text of the body', '<body bgcolor=black text=white>yes<font color=black>no', 'yes', 'no'],
    ['nothing to see through', '<b style="opacity:0.0">no</b>yes', 'yes', 'no'],
    ['off the screen', '<b style="position:absolute;left:-9999px">no</b>yes', 'yes', 'no'],
    ['off the line', '<b style="text-indent:-5000px">no</b>yes', 'yes', 'no'],
    ['clipped', '<b style="clip:rect(0 0 0 0)">no</b>yes', 'yes', 'no'],
    ['no height', '<div style="height:0;overflow:hidden">no</div>yes', 'yes', 'no'],
    ['no height at most', '<div style="max-height:0">no</div>yes', 'yes', 'no'],
    ['Office', '<b style="mso-hide:all">no</b>yes', 'yes', 'no'],
    ['what is in it too', '<div hidden>no<p>no<b>no</b></div>yes', 'yes', 'no\nnono'],
    ['never closed', 'yes<div hidden>no', 'yes', 'no'],
    ['within a cell that is closed', '<td><span hidden>no</td><td>yes', 'yes', 'no'],
    ['its closing tag in another cell', '<td hidden>no<td>yes</span>yes', 'yesyes', 'no'],
  ])('%s', (_, html, text, hidden) => {
    expect(readHtml(html)).toMatchObject({ text, hidden });
  });

  test.each([
    ['a small font', '<font size=1>yes</font>'],
    ['a size given anew inside', '<div style="font-size:0"><b style="font-size:12px">yes</b></div>'],
    ['white on a picture', '<table background=x.gif><td><font color=white>yes'],
    ['white where a style sheet may have set the page', '<style>body{}</style><font color=white>yes'],
    ['white in a dark cell', '<td bgcolor="#333"><font color=white>yes</font>'],
    ['a colour that is none', '<td bgcolor=nonsense><font color=nonsense>yes'],
    ['a colour by a name of every object', '<td bgcolor=constructor><font color=constructor>yes'],
    ['almost nothing', '<b style="font-size:0.9em;opacity:0.1;max-height:0.5em">yes</b>'],
    ['another property', '<b style="xdisplay:none;display-x:none;top:-5px">yes</b>'],
  ])('is not: %s', (_, html) => {
    expect(readHtml(html)).toMatchObject({ text: 'yes', hidden: '' });
  });

  test('is bounded', () => {
    const { hidden, text } = readHtml(`<p hidden>${'x'.repeat(100_000)}<p>yes`);
    expect(hidden.length).toBeLessThan(70_000);
    expect(text).toBe('yes');
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

  test('keep the names of a query that look like references', () => {
    const { links } = readHtml('<a href="http://a/?x=1&copy=2&amp;lt=3&gt;&reg">');
    expect(links[0].target).toBe('http://a/?x=1&copy=2&lt=3>®');
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
