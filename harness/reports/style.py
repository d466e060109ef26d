"""The style sheet of the HTML report: system fonts, light and dark, no asset from anywhere.

The page's content security policy allows exactly this sheet, by its hash. Filters are radio buttons and ``:has()``,
so the page needs no script.
"""

from __future__ import annotations

import base64
import hashlib

__all__ = ["STYLE", "style_hash"]

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2128;--soft:#59636e;--line:#dde1e6;--faint:#f0f2f5;
--good:#1a7f37;--good-bg:#dafbe1;--bad:#c4232b;--bad-bg:#ffe5e3;--warn:#8a5a00;--warn-bg:#fff3cf;--odd:#7a3db8;
--odd-bg:#f1e6fc;--mark:#ffdf7a;--mark-ink:#3a2c00;--first:#c98a00;--accent:#0a5cc2;--shadow:0 1px 2px #1c21281a}
@media(prefers-color-scheme:dark){:root{--bg:#0f1318;--card:#171c23;--ink:#e3e7ec;--soft:#98a2ae;--line:#2b323b;
--faint:#1e242c;--good:#56d364;--good-bg:#12351d;--bad:#ff8a82;--bad-bg:#45191c;--warn:#e3b341;--warn-bg:#3a2c0b;
--odd:#cfa3ff;--odd-bg:#33204a;--mark:#6b5310;--mark-ink:#ffe9a8;--first:#d9a520;--accent:#6cb0ff;--shadow:none}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,"Noto Sans","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main,header>div,footer{max-width:1180px;margin:0 auto;padding:0 24px}
header{background:var(--card);border-bottom:1px solid var(--line);padding:26px 0 20px}
h1{font-size:24px;line-height:1.25;margin:8px 0 6px;letter-spacing:-.01em;text-wrap:balance}
h2{font-size:18px;margin:34px 0 12px;letter-spacing:-.005em}
h2 small{font-weight:400;color:var(--soft);font-size:14px;margin-left:6px}
h3{font-size:12px;margin:0 0 6px;color:var(--soft);font-weight:600;text-transform:uppercase;letter-spacing:.05em}
p{margin:0 0 8px}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
.soft{color:var(--soft)}.small{font-size:13px}
code,.id{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:13px;
overflow-wrap:anywhere}
.chip{display:inline-block;padding:1px 8px;border-radius:99px;font-size:12px;font-weight:600;line-height:1.6;
background:var(--faint);color:var(--soft);white-space:nowrap}
.chip.big{font-size:14px;padding:3px 14px}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.odd{color:var(--odd)}
.chip.good{background:var(--good-bg)}.chip.bad{background:var(--bad-bg)}.chip.warn{background:var(--warn-bg)}
.chip.odd{background:var(--odd-bg)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin:22px 0 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:13px 16px;box-shadow:var(--shadow)}
.tile b{display:block;font-size:25px;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums;margin:1px 0}
.tile b s{text-decoration:none;font-weight:400;color:var(--soft);font-size:17px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;box-shadow:var(--shadow);overflow:hidden}
.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(430px,1fr));gap:14px;align-items:start}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:7px 14px;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child>td,tr:last-child>th{border-bottom:0}
thead th{font-size:12px;color:var(--soft);font-weight:600;background:var(--faint);white-space:nowrap}
tbody th{font-weight:500;min-width:120px;overflow-wrap:anywhere}
.num{text-align:right;white-space:nowrap}.zero{color:var(--soft);opacity:.55}
tr.total>*{font-weight:600;background:var(--faint)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:5px 18px;margin:0;padding:14px 16px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
nav{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--line);margin:26px 0 0;
padding:9px 0;display:flex;flex-wrap:wrap;gap:6px 16px;align-items:center}
nav .roles{margin-left:auto;display:flex;gap:4px;align-items:center}
nav label{cursor:pointer;padding:2px 10px;border-radius:99px;font-size:13px;color:var(--soft);
border:1px solid transparent}
nav input{position:absolute;opacity:0;pointer-events:none}
nav label:has(input:checked){background:var(--card);border-color:var(--line);color:var(--ink);font-weight:600}
nav label:has(input:focus-visible){outline:2px solid var(--accent)}
body:has(#role-fix:checked) .case:not(.fix),body:has(#role-holdout:checked) .case:not(.holdout),
body:has(#role-guard:checked) .case:not(.guard){display:none}
section{scroll-margin-top:52px}
.case{margin:0 0 8px;scroll-margin-top:60px}
.case>summary{cursor:pointer;list-style:none;padding:9px 14px;display:flex;gap:10px;align-items:center}
.case>summary::-webkit-details-marker{display:none}
.case>summary::before{content:"";flex:none;width:6px;height:6px;border-right:2px solid var(--soft);
border-bottom:2px solid var(--soft);transform:rotate(-45deg);margin-right:1px}
.case[open]>summary::before{transform:rotate(45deg)}
.case[open]>summary{border-bottom:1px solid var(--line)}
.case>summary:hover{background:var(--faint)}
.case .id{font-weight:600;flex:0 1 auto}
.case .gist{flex:1 1 120px;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.case .turn{flex:none;display:flex;gap:5px;align-items:center;color:var(--soft)}
.body{padding:14px 16px;display:grid;gap:14px}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:14px}
.side{border:1px solid var(--line);border-radius:8px;overflow:hidden;display:flex;flex-direction:column;min-width:0}
.side>.head{padding:7px 12px;background:var(--faint);border-bottom:1px solid var(--line);display:flex;gap:8px;
flex-wrap:wrap;align-items:center}
.side>.head b{font-weight:650;overflow-wrap:anywhere}
.side>.text{flex:1}
.side>.why{border-top:1px solid var(--line);padding:8px 12px;font-size:13px}
.why ul{margin:0;padding:0;list-style:none}.why li{margin:2px 0;overflow-wrap:anywhere}
.why code{color:var(--bad);font-weight:600}
.text{white-space:pre-wrap;overflow-wrap:anywhere;padding:10px 12px;max-height:430px;overflow-y:auto}
.quote{background:var(--faint);border-radius:8px}
mark{background:var(--mark);color:var(--mark-ink);border-radius:2px;box-decoration-break:clone;
-webkit-box-decoration-break:clone}
.first{text-decoration:underline dotted var(--first) 2px;text-underline-offset:3px}
.fold{display:inline-block;background:var(--mark);color:var(--mark-ink);border-radius:99px;padding:0 10px;
margin:2px 3px;font-size:12px;font-weight:600;white-space:normal}
.cut{display:inline-block;color:var(--soft);font-style:italic;font-size:12px;padding:0 6px}
.facts{display:flex;flex-wrap:wrap;gap:3px 16px;font-size:13px;color:var(--soft)}
.facts b{color:var(--ink);font-weight:600;font-variant-numeric:tabular-nums}
.group>summary{cursor:pointer}.group>summary h2{display:inline-block;margin:26px 0 10px}
.chart{display:block;width:100%;height:auto;padding:12px 14px 6px}
.chart .axis{stroke:var(--line)}.chart .curve{fill:none;stroke:var(--accent);stroke-width:2;stroke-linejoin:round}
.chart .raw{fill:none;stroke:var(--accent);stroke-width:1;opacity:.3}
.chart text{fill:var(--soft);font-size:11px}
footer{color:var(--soft);font-size:13px;padding-top:22px;padding-bottom:44px}
@media(max-width:640px){main,header>div,footer{padding-left:14px;padding-right:14px}.grid2,.sides{grid-template-columns:1fr}
.case>summary{flex-wrap:wrap}.case .gist{flex-basis:100%;order:9}nav .roles{margin-left:0}}
@media print{nav{display:none}body{background:#fff}.text{max-height:none}.card{break-inside:avoid;box-shadow:none}}
"""


def style_hash() -> str:
    """The source expression that allows exactly :data:`STYLE` in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
