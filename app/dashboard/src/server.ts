/* What the page asks its server. */
import { useEffect, useState } from 'preact/hooks';
import type {
  Axis,
  RunDetail,
  RunSeries,
  RunSummary,
  SamplingEvent,
  SamplingRequest,
  ServerEvent,
  SystemUse,
} from 'stable-target-field/node';

export type { Axis, RunDetail, RunSeries, RunSummary, SamplingEvent, SamplingRequest, SystemUse };

async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(path, signal ? { signal } : {});
  const body = (await response.json().catch(() => ({}))) as T & { error?: string };
  if (!response.ok) throw new Error(body.error ?? `the server says ${response.status}`);
  return body;
}

export const runPath = (id: string): string => `api/runs/${encodeURIComponent(id)}`;

/** Address of a file of a run. */
export const filePath = (id: string, file: string, version?: string): string =>
  `${runPath(id)}/files/${encodeURIComponent(file)}${version === undefined ? '' : `?v=${version}`}`;

export const fetchRun = (id: string, signal?: AbortSignal): Promise<RunDetail> => getJson(runPath(id), signal);

export async function fetchLog(id: string): Promise<string> {
  const response = await fetch(`${runPath(id)}/log`);
  return response.ok ? response.text() : '';
}

/** What curves are asked for. */
export interface SeriesQuery {
  readonly runs: readonly string[];
  readonly keys: readonly string[];
  readonly axis: Axis;
  readonly range: readonly [from: number, to: number] | null;
  readonly points: number;
  readonly band: boolean;
}

export async function fetchSeries(query: SeriesQuery, signal?: AbortSignal): Promise<readonly RunSeries[]> {
  const params = new URLSearchParams({ axis: query.axis, points: String(query.points), band: query.band ? '1' : '0' });
  for (const run of query.runs) params.append('run', run);
  for (const key of query.keys) params.append('key', key);
  if (query.range) {
    params.set('from', String(query.range[0]));
    params.set('to', String(query.range[1]));
  }
  return (await getJson<{ runs: RunSeries[] }>(`api/series?${params}`, signal)).runs;
}

/** Everything that the server pushes. */
export interface Live {
  /** Undefined until the first answer. */
  readonly runs: readonly RunSummary[] | undefined;
  readonly system: readonly SystemUse[];
  readonly isConnected: boolean;
}

/** Busy-ness that is kept for its curve. */
const keptSystem = 120;

/** Runs after a change, the last first; those that did not change are the same objects. */
function merged(
  before: readonly RunSummary[],
  { runs, gone }: Extract<ServerEvent, { kind: 'changes' }>,
): readonly RunSummary[] {
  const byId = new Map(before.map((run) => [run.id, run]));
  for (const run of runs) byId.set(run.id, run);
  for (const id of gone) byId.delete(id);
  return [...byId.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
}

/** Runs and the machine as the server pushes them. */
export function useLive(): Live {
  const [live, setLive] = useState<Live>({ runs: undefined, system: [], isConnected: true });
  useEffect(() => {
    const source = new EventSource('api/events');
    // Each connection begins with what was measured before it.
    source.onopen = () => setLive((before) => ({ ...before, system: [], isConnected: true }));
    source.onerror = () => setLive((before) => ({ ...before, isConnected: false }));
    source.onmessage = ({ data }: MessageEvent<string>) => {
      const event = JSON.parse(data) as ServerEvent;
      setLive((before) =>
        event.kind === 'system'
          ? { ...before, system: [...before.system, ...event.system].slice(-keptSystem) }
          : { ...before, runs: event.kind === 'runs' ? event.runs : merged(before.runs ?? [], event) },
      );
    };
    return () => source.close();
  }, []);
  return live;
}

/**
 * Asks for samples and tells what comes, `done` or `error` at last.
 *
 * @throws Error with the server's reason when it refuses, and when the answer breaks off
 */
export async function drawSamples(
  request: SamplingRequest,
  tell: (event: SamplingEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await fetch('api/sampling', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(request),
    signal,
  });
  if (!response.ok || !response.body) {
    const { error } = (await response.json().catch(() => ({}))) as { error?: string };
    throw new Error(error ?? `the server says ${response.status}`);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ value: undefined, done: true }));
    if (signal.aborted) throw new Error('stopped');
    text += value ?? '';
    const messages = text.split('\n\n');
    text = messages.pop()!;
    for (const message of done ? [...messages, text] : messages) {
      const event = eventOf(message);
      if (!event) continue;
      tell(event);
      if (event.kind === 'done' || event.kind === 'error') return;
    }
    if (done) throw new Error('The answer broke off before the samples were done: is stf serve still running?');
  }
}

/** What a message of the stream holds; undefined where that is nothing, or was cut off. */
function eventOf(message: string): SamplingEvent | undefined {
  const data = message
    .split('\n')
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(5).trimStart())
    .join('\n');
  try {
    return JSON.parse(data) as SamplingEvent;
  } catch {
    return undefined;
  }
}
