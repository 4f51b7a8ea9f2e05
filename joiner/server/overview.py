"""The page at `/`: what runs here and how to go on. Plain HTML that needs no script and shows nothing secret."""

import base64
import hashlib
from collections.abc import Collection
from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

import joiner

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0a66c2; }
@media (prefers-color-scheme: dark) { :root { --accent: #7db7ff; } }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
p.lead { margin-top: .25rem; opacity: .8; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.5rem; margin: 0; }
dt { opacity: .8; } dd { margin: 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: .4rem; padding: .75rem 1rem;
  overflow-x: auto; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; } }
"""
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

APPLICATION: Final = """
<h2>Application side</h2>
<p>Accounts and groups arrive here over SCIM 2.0. Enter the address and a token in the system that sends them.</p>
<dl>
<dt>Tenant URL</dt><dd><code>{base}/scim</code></dd>
</dl>
<pre><code>joiner token create {where}       # the Secret Token, shown once
curl -H "Authorization: Bearer $TOKEN" {base}/scim/Users</code></pre>
"""
DIRECTORY: Final = """
<h2>Directory side</h2>
<p>Keeps accounts in applications in step with the users and groups of a directory. Its API has the shape of Microsoft
Graph; the commands are its clients.</p>
<dl>
<dt>Graph-shaped API</dt><dd><code>{base}/v1.0</code></dd>
</dl>
<pre><code>joiner directory import --example {where}
joiner app add ALVAO --tenant-url URL --secret-token-stdin {where}
joiner app assign ALVAO Finance {where}
joiner job create ALVAO {where}
joiner job run ALVAO {where}
joiner logs ALVAO {where}</code></pre>
"""
PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Joiner</title><style>{style}</style></head>
<body>
<main>
<h1>Joiner</h1>
<p class="lead">Version {version}. Automatic user provisioning: who joins gets an account, who moves is updated, who
leaves is disabled.</p>
{sections}
<h2>Health</h2>
<dl>
<dt>Alive</dt><dd><a href="{base}/healthz">{base}/healthz</a></dd>
<dt>Ready</dt><dd><a href="{base}/readyz">{base}/readyz</a></dd>
</dl>
</main>
</body>
</html>
"""
SECTIONS: Final = {"application": APPLICATION, "directory": DIRECTORY}


def overview(request: Request, sides: Collection[str]) -> Response:
    """The page for an installation with these sides, with addresses as the visitor reached it."""
    base = escape(str(request.base_url).rstrip("/"))
    sections = "".join(SECTIONS[side].format(base=base, where="--data DIR") for side in SECTIONS if side in sides)
    page = PAGE.format(style=STYLE, version=escape(joiner.__version__), base=base, sections=sections)
    return HTMLResponse(page, headers=HEADERS)
