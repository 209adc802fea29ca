import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { MiddlewareHandler } from 'hono';

/** What every answer carries: nothing is loaded from elsewhere, nothing runs that is not ours, nobody may frame or read it. */
export const safetyHeaders: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** What the playground does beside: it computes, in a thread of its own and in WebAssembly. */
const playgroundPolicy = safetyHeaders['Content-Security-Policy'].replace(
  "script-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'",
);
const playground = '/playground/';

/** A header `Host` without its port; undefined when it is none. */
function hostOf(header: string | undefined): string | undefined {
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i.exec(header ?? '') ?? [];
  return bracketed ?? plain?.toLowerCase();
}

/**
 * Refuses what no page of ours sends. A foreign page that has made its own name point at this machine (DNS rebinding) is
 * told by the name it asks for; other foreign pages by `Sec-Fetch-Site` and `Origin`.
 *
 * @param named  the name that the server was bound to, which may be asked for as well
 */
export function guard(named: string): MiddlewareHandler {
  const names = new Set(['localhost', hostname().toLowerCase(), named.toLowerCase()]);
  return async (context, next) => {
    for (const [name, value] of Object.entries(safetyHeaders)) context.header(name, value);
    const { req } = context;
    if (req.path.startsWith(playground)) context.header('Content-Security-Policy', playgroundPolicy);
    const header = req.header('host');
    const host = hostOf(header);
    if (host === undefined || !(isIP(host) > 0 || names.has(host)))
      return context.json({ error: 'this server does not go by that name' }, 421);
    const isPost = req.method === 'POST' && req.path === '/api/sampling';
    if (!['GET', 'HEAD'].includes(req.method) && !isPost) {
      context.header('Allow', req.path === '/api/sampling' ? 'POST' : 'GET, HEAD');
      return context.json({ error: 'only GET and HEAD are answered here' }, 405);
    }
    const site = req.header('sec-fetch-site');
    const isOurs = site === undefined || site === 'same-origin' || site === 'none';
    const isVisit = ['/', playground].includes(req.path) && req.header('sec-fetch-mode') === 'navigate';
    if (!isOurs && !isVisit) return context.json({ error: 'requests of other sites are not answered' }, 403);
    if (isPost && originHost(req.header('origin')) !== header?.toLowerCase())
      return context.json({ error: 'only the page of this server may ask for samples' }, 403);
    return next();
  };
}

/** Host and port of an origin. */
function originHost(origin: string | undefined): string | undefined {
  return /^https?:\/\/([^/\s]+)$/i.exec(origin ?? '')?.[1].toLowerCase();
}
