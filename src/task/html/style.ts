/** The style sheet of the report: light and dark as the reader's system has it, one column on a phone, ink on paper. No font, image or address from outside. */

const LIGHT =
  '--bg:#f5f6f8;--card:#fff;--ink:#171a1f;--soft:#59636f;--line:#dde1e7;--grid:#e7eaee;--good:#0b6b3a;--bad:#a3221b;--hit:37 99 235;--miss:234 106 10;--s0:#1f5fd0;--s1:#c2570c;--s2:#0f766e;--s3:#a21caf;--s4:#4d7c0f;--s5:#b4234a;--drift:#c026a3;';
const DARK =
  '--bg:#0f1216;--card:#171b21;--ink:#e8ebef;--soft:#9ba6b3;--line:#2b323b;--grid:#252b33;--good:#5fd394;--bad:#ff8a80;--hit:59 130 246;--miss:249 115 22;--s0:#6ea8ff;--s1:#fb9a4b;--s2:#2dd4bf;--s3:#e58af5;--s4:#a3d94a;--s5:#fb7d9b;--drift:#f472d0;';

export const style = `
:root{color-scheme:light dark;${LIGHT}}
@media(prefers-color-scheme:dark){:root{${DARK}}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1160px;margin:0 auto;padding:28px 20px 40px}
h1{font-size:1.75rem;line-height:1.2;letter-spacing:-.01em;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.0625rem;margin:0 0 .25rem;letter-spacing:-.005em}
p{margin:0;text-wrap:pretty}
.soft,.note,dt{color:var(--soft)}
.note{font-size:.875rem;max-width:110ch;margin-bottom:.75rem;overflow-wrap:anywhere}
.lead{font-size:1.125rem;max-width:62rem;margin:.875rem 0 1.25rem;overflow-wrap:anywhere}
.good{color:var(--good);font-weight:600}
.bad{color:var(--bad);font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:12px;margin:0 0 16px}
.of8{grid-template-columns:repeat(4,minmax(0,1fr))}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px;display:flex;flex-direction:column}
dt{font-size:.8125rem}
dd{margin:0}
.tiles dd{font-size:1.5rem;font-weight:600;line-height:1.3;letter-spacing:-.01em}
.tiles dd+dd{font-size:.8125rem;font-weight:400;letter-spacing:0;color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px;margin:0;min-width:0}
.stack{display:flex;flex-direction:column;gap:16px;min-width:0}
.stack>:last-child{flex:1}
.whole{grid-column:1/-1}
.plot{display:block;width:100%;height:auto;overflow:visible}
.plot text{font-size:12px;fill:var(--soft)}
.plot .name{fill:var(--ink)}
.upper{margin-bottom:-26px}
.narrow{display:none}
.grid path{stroke:var(--grid);stroke-width:1;fill:none}
path.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
path.thin{stroke-width:1.5}
.s0{stroke:var(--s0)}.s1{stroke:var(--s1)}.s2{stroke:var(--s2)}.s3{stroke:var(--s3)}.s4{stroke:var(--s4)}.s5{stroke:var(--s5)}
.s1:not(.thin){stroke-dasharray:9 3}.s2{stroke-dasharray:3 3}.s3{stroke-dasharray:12 3 3 3}.s4{stroke-dasharray:6 2}.s5{stroke-dasharray:2 4}
path.base{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:5 4;opacity:.85}
.whisker{stroke:var(--s0);stroke-width:1.5;opacity:.45;fill:none}
.dot{fill:var(--s0);stroke:var(--card);stroke-width:1.5}
.few{fill:var(--card);stroke:var(--s0)}
circle.given{fill:var(--card);stroke:var(--ink);stroke-width:2}
.bar rect,rect.bar{fill:var(--s0);opacity:.75}
.touch{fill:transparent;stroke:none}
circle.touch:hover{fill:var(--ink);fill-opacity:.25}
rect.touch:hover{fill:var(--ink);fill-opacity:.06}
.mark path,path.markline{stroke:var(--drift);stroke-width:1.5;stroke-dasharray:4 3;fill:none}
.mark .flag{fill:var(--drift);stroke:none}
.mark .touch{stroke:transparent;stroke-width:9;stroke-dasharray:none}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:.5rem 0 0;padding:0;font-size:.875rem}
.legend li{overflow-wrap:anywhere;min-width:0}
.legend svg{vertical-align:-1px;margin-right:4px}
details{margin-top:.75rem;font-size:.875rem}
summary{cursor:pointer;color:var(--soft);width:max-content}
summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--s0);outline-offset:2px}
.scroll{overflow-x:auto;margin:.25rem -4px 0;padding:0 4px}
details .scroll{max-height:24rem;overflow-y:auto}
table{border-collapse:collapse;width:100%;font-size:.875rem}
th,td{padding:6px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--soft);font-weight:500;font-size:.8125rem;vertical-align:bottom}
tbody th{font-weight:500;white-space:normal;overflow-wrap:anywhere;min-width:4.5rem}
thead th{white-space:normal}
.n{text-align:right}.t{text-align:left}
.long{display:block;min-width:9.5rem}
.n:first-child{width:6.5rem}
th:first-child,td:first-child{padding-left:0}
code{font:.8125rem ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
.matrix td{border:2px solid var(--card);padding:8px 10px;text-align:right;border-radius:8px;min-width:4.4rem}
.matrix th{border:0}
.heat b,.heat span{display:block;font-weight:600;line-height:1.35}
.heat span{font-weight:400;font-size:.8125rem}
.hit{background:rgb(var(--hit)/calc(.05 + .4*var(--s)))}
.miss{background:rgb(var(--miss)/calc(.9*var(--s)))}
.bar{display:block;background:linear-gradient(90deg,rgb(var(--hit)/.28) calc(100%*var(--s)),rgb(var(--hit)/.06) 0) no-repeat 0 100%/100% 4px;padding-bottom:5px;min-width:4.5rem}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:12px 20px;margin:.5rem 0 0}
.facts dd{overflow-wrap:anywhere}
footer{margin-top:20px;font-size:.8125rem;color:var(--soft)}
@media screen and (max-width:760px){
main{padding:18px 12px 28px}
h1{font-size:1.4rem}
.lead{font-size:1rem}
.cards{grid-template-columns:minmax(0,1fr);gap:12px}
.card{padding:14px 12px}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:8px}
.tiles dd{font-size:1.25rem}
.wide{display:none}
.narrow{display:block}
.plot text{font-size:15px}
.facts{grid-template-columns:repeat(2,minmax(0,1fr))}
th,td{padding:6px}
.bar{min-width:3.25rem}
}
@media print{
:root{${LIGHT}--bg:#fff}
body{font-size:11px}
main{padding:0;max-width:none}
.card,.tiles div{break-inside:avoid}
details{display:none}
.cards{display:block}
.card,.stack{margin-bottom:12px}
.cards>.card:not(.whole),.stack{display:inline-block;width:calc(50% - 6px);vertical-align:top}
.stack .card{width:100%}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
`;
