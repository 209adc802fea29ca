import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Command, Empty, onThemeChange, Segments, Slider, themeColor } from '../../shared/components.tsx';
import { kimg, short } from './format.ts';
import { PixelGrid } from './pixel-grid.tsx';
import type { ShownRun } from './shown-run.ts';
import { drawSamples } from './server.ts';
import type { SamplingEvent } from './server.ts';

type Frame = Extract<SamplingEvent, { kind: 'frame' }>;
type Side = 'noisy' | 'denoised';

/** Samplers that take as many steps as they are told. */
const hasSteps = (sampler: string): boolean => sampler !== 'rk45';
const samplerNames: Readonly<Record<string, string>> = {
  edm: "EDM's Heun",
  ablation: 'Ablation grid (Heun)',
  'predictor-corrector': 'Predictor-corrector',
  rk45: 'RK45, adaptive',
  ddim: 'DDIM',
  'dpm-solver++': 'DPM-Solver++ (2M)',
};

/** Draws samples from a checkpoint and shows how they come out of noise. */
export function Draw({ runs }: { runs: readonly ShownRun[] }): JSX.Element {
  const able = runs.filter(({ detail }) => detail.sampling !== null);
  const [id, setId] = useState(able[0]?.summary.id);
  const run = able.find(({ summary }) => summary.id === id) ?? able[0];
  if (!run) {
    return (
      <Empty title="Nothing to draw from yet">
        <p>
          Samples are drawn from a checkpoint. A run writes one every few ticks (--snap) and at its end; Ctrl-C in its
          terminal writes one as well.
        </p>
      </Empty>
    );
  }
  return (
    <>
      {able.length > 1 && (
        <div class="controls">
          <Segments
            label="Run"
            options={able.map(({ summary, name }) => [summary.id, name] as const)}
            value={run.summary.id}
            onChange={setId}
          />
        </div>
      )}
      <DrawFrom key={run.summary.id} run={run} />
    </>
  );
}

function DrawFrom({ run }: { run: ShownRun }): JSX.Element {
  const { checkpoints, sampling } = run.detail;
  const limits = sampling!;
  const isImages = limits.kind === 'images';
  const [checkpoint, setCheckpoint] = useState(checkpoints[0].file);
  const [sampler, setSampler] = useState('edm');
  const [steps, setSteps] = useState(String(limits.steps));
  const [seeds, setSeeds] = useState(isImages ? '0-15' : '0-999');
  const [label, setLabel] = useState('');
  const [frames, setFrames] = useState<readonly Frame[]>([]);
  const [place, setPlace] = useState<number | null>(null);
  const [side, setSide] = useState<Side>('noisy');
  const [status, setStatus] = useState<{ text: string; isBad?: boolean }>({ text: '' });
  const [abort, setAbort] = useState<AbortController>();
  useEffect(() => () => abort?.abort(), [abort]);

  const chosen = checkpoints.find(({ file }) => file === checkpoint) ?? checkpoints[0];
  const seedList = seeds.replaceAll(/\s/g, '');
  const command = [
    chosen.command,
    `--sampler ${sampler}`,
    ...(hasSteps(sampler) && steps !== '' ? [`--steps ${steps}`] : []),
    ...(/^[\d,-]+$/.test(seedList) ? [`--seeds ${seedList}`] : []),
    ...(label === '' ? [] : [`--class ${label}`]),
  ].join(' ');

  const tell = (event: SamplingEvent): void => {
    if (event.kind === 'start') setStatus({ text: `Drawing ${event.samples} samples` });
    if (event.kind === 'frame') {
      setFrames((before) => [...before, event]);
      setStatus({ text: `Drawing, noise level ${short(event.sigma)}` });
    }
    if (event.kind === 'error') setStatus({ text: event.message, isBad: true });
    if (event.kind === 'done')
      setStatus({ text: `Done: ${event.evaluations} evaluations of the network in ${event.seconds.toFixed(1)} s` });
  };
  const start = async (): Promise<void> => {
    const controller = new AbortController();
    setAbort(controller);
    setFrames([]);
    setPlace(null);
    setStatus({ text: 'Starting a process and loading the network …' });
    try {
      await drawSamples(
        {
          run: run.summary.id,
          checkpoint: chosen.file,
          sampler,
          steps: hasSteps(sampler) ? Number(steps) : null,
          seeds: seedList,
          class: label === '' ? null : Number(label),
        },
        tell,
        controller.signal,
      );
    } catch (error) {
      setStatus(
        controller.signal.aborted
          ? { text: 'Stopped' }
          : { text: error instanceof Error ? error.message : String(error), isBad: true },
      );
    } finally {
      setAbort(undefined);
    }
  };
  const at = Math.min(place ?? frames.length - 1, frames.length - 1);
  const frame = frames[at] as Frame | undefined;
  return (
    <div class="draw">
      <form
        class="draw-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (!abort) void start();
        }}
      >
        <label class="field">
          <span>Checkpoint</span>
          <select value={chosen.file} onChange={(event) => setCheckpoint(event.currentTarget.value)}>
            {checkpoints.map((each) => (
              <option key={each.file} value={each.file}>
                {kimg(each.kimg)} images
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Sampler</span>
          <select value={sampler} onChange={(event) => setSampler(event.currentTarget.value)}>
            {limits.samplers.map((name) => (
              <option key={name} value={name}>
                {samplerNames[name] ?? name}
              </option>
            ))}
          </select>
        </label>
        <div class="two">
          <label class="field">
            <span>Steps, 2 to {limits.maxSteps}</span>
            <input
              type="number"
              min={2}
              max={limits.maxSteps}
              value={steps}
              disabled={!hasSteps(sampler)}
              onInput={(event) => setSteps(event.currentTarget.value)}
            />
          </label>
          <label class="field">
            <span>Seeds, at most {limits.maxSeeds}</span>
            <input type="text" value={seeds} onInput={(event) => setSeeds(event.currentTarget.value)} />
          </label>
        </div>
        {limits.classes > 0 && (
          <label class="field">
            <span>Class</span>
            <select value={label} onChange={(event) => setLabel(event.currentTarget.value)}>
              <option value="">by seed, all in turn</option>
              {Array.from({ length: limits.classes }, (_, i) => (
                <option key={i} value={String(i)}>
                  {i}
                </option>
              ))}
            </select>
          </label>
        )}
        <div class="actions">
          <button type="submit" class="primary" disabled={abort !== undefined}>
            {abort ? 'Drawing …' : 'Draw samples'}
          </button>
          {abort && (
            <button type="button" onClick={() => abort.abort()}>
              Stop
            </button>
          )}
        </div>
        <p class={`small status ${status.isBad ? 'is-bad' : 'muted'}`} role="status">
          {status.text}
        </p>
        <div class="field">
          <span>The same in a terminal</span>
          <Command text={command} />
        </div>
      </form>
      <section class="draw-stage" aria-label="Samples">
        {frame ? (
          <>
            <div class="controls">
              <Segments
                label="What is shown"
                options={[
                  ['noisy', 'On the way'],
                  ['denoised', 'What the network expects'],
                ]}
                value={side}
                onChange={setSide}
              />
            </div>
            {frame.picture && (
              <div class="stage">
                <PixelGrid
                  address={`data:image/png;base64,${frame.picture[side]}`}
                  layout={{ ...frame.picture, pitch: frame.picture.cell }}
                  label={frame.done === 1 ? 'Samples' : `Samples at noise level ${short(frame.sigma)}`}
                />
              </div>
            )}
            {frame.points && (
              <Scatter
                points={frame.points[side]}
                label={`Samples at noise level ${short(frame.sigma)}`}
                all={frames}
                side={side}
              />
            )}
            <Slider
              label="Way"
              value={at}
              max={Math.max(frames.length - 1, 1)}
              text={frame.done === 1 ? 'samples' : `σ ${short(frame.sigma)}`}
              onChange={(next) => setPlace(next === frames.length - 1 ? null : next)}
              disabled={frames.length < 2}
            />
          </>
        ) : (
          <div class="stage waiting">
            <p class="muted">
              {abort
                ? 'The first step comes when the network is loaded.'
                : 'Choose and draw: the way from noise to samples unfolds here.'}
            </p>
          </div>
        )}
      </section>
    </div>
  );
}

/** Points in the plane, always in the same square. */
function Scatter({
  points,
  label,
  all,
  side,
}: {
  points: readonly number[];
  label: string;
  all: readonly Frame[];
  side: Side;
}): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [colors, setColors] = useState(0);
  useEffect(() => onThemeChange(() => setColors((count) => count + 1)), []);
  const reach = Math.max(1.2, ...[...all[all.length - 1].points![side]].map(Math.abs)) * 1.15;
  useEffect(() => {
    const element = canvas.current!;
    const size = element.clientWidth || 420;
    const ratio = devicePixelRatio || 1;
    element.width = size * ratio;
    element.height = size * ratio;
    const context = element.getContext('2d')!;
    context.scale(ratio, ratio);
    context.strokeStyle = themeColor('grid');
    for (const place of [0.25, 0.5, 0.75]) {
      context.beginPath();
      context.moveTo(place * size, 0);
      context.lineTo(place * size, size);
      context.moveTo(0, place * size);
      context.lineTo(size, place * size);
      context.stroke();
    }
    context.fillStyle = themeColor('samples');
    context.globalAlpha = 0.65;
    for (let i = 0; i + 1 < points.length; i += 2) {
      const x = (0.5 + points[i] / reach / 2) * size;
      const y = (0.5 - points[i + 1] / reach / 2) * size;
      context.beginPath();
      context.arc(x, y, 1.8, 0, 2 * Math.PI);
      context.fill();
    }
  }, [points, reach, colors]);
  return <canvas ref={canvas} class="stage scatter" role="img" aria-label={label} />;
}
