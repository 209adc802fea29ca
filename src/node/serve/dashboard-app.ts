import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { compress } from 'hono/compress';
import { streamSSE } from 'hono/streaming';
import { z } from 'zod';
import { UsageError } from '../../errors.ts';
import { axes } from './api.ts';
import type { RunSeries, SamplingEvent } from './api.ts';
import { guard } from './guard.ts';
import { latestOnly } from './latest-only.ts';
import type { PageFile } from './page-files.ts';
import { openPlain } from './plain-file.ts';
import { runNews } from './run-news.ts';
import type { RunWatcher } from './run-watcher.ts';
import type { RunView } from './run-view.ts';
import { samplingArguments, startSampling } from './sampling-process.ts';

/** Bounds of what one request may ask for. */
const [mostRuns, mostKeys, mostPoints, mostWatchers] = [64, 64, 4000, 64];

/** Files of a run that may be had, by their name's ending. */
const fileTypes: ReadonlyMap<string, string> = new Map([
  ['png', 'image/png'],
  ['json', 'application/json; charset=utf-8'],
  ['jsonl', 'application/x-ndjson; charset=utf-8'],
  ['txt', 'text/plain; charset=utf-8'],
  ['safetensors', 'application/octet-stream'],
]);

const finite = z.coerce.number().refine(Number.isFinite);
const seriesQuery = z.object({
  run: z.array(z.string()).min(1).max(mostRuns),
  key: z.array(z.string()).max(mostKeys).optional(),
  axis: z.enum(axes).default('images'),
  from: finite.default(-Infinity),
  to: finite.default(Infinity),
  points: z.coerce.number().int().min(8).max(mostPoints).default(600),
  band: z.enum(['0', '1']).default('1'),
});

const samplingBody = z.object({
  run: z.string(),
  checkpoint: z.string(),
  sampler: z.string(),
  steps: z.number().nullable(),
  seeds: z.string(),
  class: z.number().nullable(),
});

/** What the dashboard is made of. */
export interface DashboardParts {
  readonly watcher: RunWatcher;
  readonly page: ReadonlyMap<string, PageFile>;
  /** The program that draws samples; nothing is drawn without one. */
  readonly sampler: string | undefined;
  /** The name that the server was bound to. */
  readonly host: string;
}

/** The routes of the dashboard. Runs and files are looked up in what was found below the runs folder, by name. */
export function dashboardApp({ watcher, page, sampler, host }: DashboardParts): Hono {
  const app = new Hono();
  /** The request whose samples are being drawn. */
  let drawing: object | undefined;
  app.use(guard(host));
  app.use('/api/runs/*', async (context, next) => {
    await next();
    if (!context.res.headers.has('Cache-Control')) context.header('Cache-Control', 'no-store');
  });
  for (const path of ['/api/series', '/api/runs', '/api/runs/:id']) {
    app.use(path, (_, next) => watcher.first(next));
    app.use(path, compress());
  }

  app.get('/api/runs', async (context) => context.json({ runs: await watcher.runs() }));

  app.get('/api/runs/:id', async (context) => {
    const run = await watcher.run(context.req.param('id'));
    return run ? context.json(run.detail()) : missing(context);
  });

  app.get('/api/runs/:id/log', async (context) => {
    const run = await watcher.run(context.req.param('id'));
    return run ? context.text(await run.log()) : missing(context);
  });

  app.get('/api/runs/:id/files/:name', async (context) => {
    const run = await watcher.run(context.req.param('id'));
    return run ? sendFile(context, run, context.req.param('name')) : missing(context);
  });

  app.get('/api/series', async (context) => {
    const { run, key, ...single } = context.req.queries();
    const rest = Object.fromEntries(Object.entries(single).map(([name, [value]]) => [name, value]));
    const query = seriesQuery.safeParse({ run, key, ...rest });
    if (!query.success) {
      const [issue] = query.error.issues;
      return context.json({ error: `${issue.path.join('.')}: ${issue.message}` }, 400);
    }
    const { key: keys, band, run: ids, ...wish } = query.data;
    const series: RunSeries[] = [];
    for (const id of ids) {
      const found = await watcher.run(id);
      if (!found) continue;
      watcher.completeLater(found);
      series.push(await found.series({ ...wish, keys, band: band === '1' }));
    }
    if (series.length === 0) return missing(context);
    context.header('Cache-Control', 'no-store');
    return context.json({ runs: series });
  });

  app.get('/api/events', (context) => {
    if (watcher.watchers >= mostWatchers) return context.json({ error: 'too many pages are open' }, 503);
    // Who asks for the headers alone reads no stream, so that nothing would tell of its end.
    if (context.req.method === 'HEAD') return context.body(null, 200, { 'Content-Type': 'text/event-stream' });
    return streamSSE(context, async (stream) => {
      const newsOf = runNews();
      // What is new for this page is found when there is room for it, so that nothing of it is left out.
      const send = latestOnly(async (event) => {
        const shown = event.kind === 'runs' ? newsOf(event.runs) : event;
        if (shown) await stream.writeSSE({ data: JSON.stringify(shown) });
      });
      const isOver = new Promise<void>((resolve) => stream.onAbort(resolve));
      const end = watcher.watch(send);
      try {
        send({ kind: 'runs', runs: await watcher.runs() });
        await isOver;
      } finally {
        end();
      }
    });
  });

  app.post('/api/sampling', bodyLimit({ maxSize: 4096, onError: tooLarge }), async (context) => {
    if (!/^application\/json\b/.test(context.req.header('content-type') ?? ''))
      return context.json({ error: 'the request must be JSON' }, 415);
    const body = samplingBody.safeParse(await context.req.json().catch(() => undefined));
    if (!body.success)
      return context.json({ error: `not a request for samples: ${body.error.issues[0].message}` }, 400);
    const run = await watcher.run(body.data.run);
    const detail = run?.detail();
    const limits = detail?.sampling;
    const checkpoint = detail?.checkpoints.find(({ file }) => file === body.data.checkpoint);
    if (!run || !limits || !checkpoint) return context.json({ error: 'there is no such checkpoint' }, 404);
    if (sampler === undefined) return context.json({ error: 'this server draws no samples' }, 404);
    let argv: readonly string[];
    try {
      argv = samplingArguments(join(run.path, checkpoint.file), body.data, limits);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return context.json({ error: error.message }, 400);
    }
    if (drawing)
      return context.json(
        {
          error:
            'another page is drawing samples, and they are drawn one request at a time: wait for it, or press Stop there',
        },
        409,
      );
    const own = (drawing = {});
    return streamSSE(context, async (stream) => {
      try {
        await new Promise<void>((resolve) => {
          const job = startSampling(sampler, argv, (event: SamplingEvent) => {
            const shown =
              event.kind === 'start'
                ? { ...event, command: `${checkpoint.command} ${argv.slice(2).join(' ')}` }
                : event;
            const written = stream.writeSSE({ data: JSON.stringify(shown) });
            if (event.kind !== 'done' && event.kind !== 'error') return;
            // Others may draw now, even if this page has stopped reading.
            drawing = undefined;
            void written.then(resolve, resolve);
          });
          stream.onAbort(() => {
            job.cancel();
            resolve();
          });
        });
      } finally {
        if (drawing === own) drawing = undefined;
      }
    });
  });

  app.get('/playground', (context) => context.redirect('playground/'));
  app.get('*', (context) => {
    const file = page.get(context.req.path);
    return file ? sendPage(context, file) : missing(context);
  });
  app.notFound(missing);
  app.onError((error, context) => {
    // What went wrong inside is not told to whoever asked.
    process.stderr.write(`stf serve: ${context.req.method} failed: ${error.message}\n`);
    return context.json({ error: 'the server could not answer' }, 500);
  });
  return app;
}

const missing = (context: Context): Response => context.json({ error: 'there is nothing of that name' }, 404);

const tooLarge = (context: Context): Response => context.json({ error: 'the request is too large' }, 413);

/** The page, compressed as the browser likes it. */
function sendPage(context: Context, { type, tag, plain, gzip, brotli, isHashed }: PageFile): Response {
  const accepted = context.req.header('accept-encoding') ?? '';
  const encoding = brotli && /\bbr\b/.test(accepted) ? 'br' : gzip && /\bgzip\b/.test(accepted) ? 'gzip' : undefined;
  context.header('Cache-Control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache');
  context.header('ETag', tag);
  context.header('Vary', 'Accept-Encoding');
  if (context.req.header('if-none-match') === tag) return context.body(null, 304);
  context.header('Content-Type', type);
  if (encoding !== undefined) context.header('Content-Encoding', encoding);
  return context.body((encoding === 'br' ? brotli : encoding === 'gzip' ? gzip : undefined) ?? plain);
}

/** A file of a run: one that was listed, regular, and no link. */
async function sendFile(context: Context, run: RunView, name: string): Promise<Response> {
  const type = fileTypes.get(/\.(\w+)$/.exec(name)?.[1] ?? '');
  if (type === undefined || !run.files.has(name)) return missing(context);
  const file = await openPlain(join(run.path, name)).catch(() => undefined);
  if (!file) return missing(context);
  const { size, mtimeMs } = await file.stat();
  const tag = `"${size}-${Math.round(mtimeMs)}"`;
  context.header('ETag', tag);
  context.header('Cache-Control', 'no-cache');
  const isKnown = context.req.header('if-none-match') === tag;
  if (isKnown || context.req.method === 'HEAD') await file.close();
  if (isKnown) return context.body(null, 304);
  context.header('Content-Type', type);
  context.header('Content-Length', String(size));
  if (name.endsWith('.safetensors')) context.header('Content-Disposition', `attachment; filename="${name}"`);
  if (context.req.method === 'HEAD') return context.body(null);
  const stream = Readable.toWeb(file.createReadStream({ end: Math.max(0, size - 1) }));
  return context.body(stream as ReadableStream<Uint8Array>);
}
