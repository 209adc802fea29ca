import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Empty, Slider } from '../../shared/components.tsx';
import { kimg } from './format.ts';
import { PixelGrid } from './pixel-grid.tsx';
import { gridOf } from './seed-grid.ts';
import type { SeedGrid } from './seed-grid.ts';
import type { ShownRun } from './shown-run.ts';
import { filePath } from './server.ts';

/** Milliseconds between pictures that play. */
const pace = 450;

/** Samples over training with a slider, and single seeds side by side. */
export function Samples({ runs }: { runs: readonly ShownRun[] }): JSX.Element {
  const moments = [...new Set(runs.flatMap(({ detail }) => detail.samples.map((sample) => sample.kimg)))].sort(
    (a, b) => a - b,
  );
  const [place, setPlace] = useState<number | null>(null);
  const [isPlaying, setPlaying] = useState(false);
  const [seed, setSeed] = useState(0);
  const at = Math.min(place ?? moments.length - 1, moments.length - 1);
  useEffect(() => {
    if (!isPlaying) return;
    const timer = setTimeout(() => {
      if (at >= moments.length - 1) setPlaying(false);
      else setPlace(at + 1);
    }, pace);
    return () => clearTimeout(timer);
  }, [isPlaying, at, moments.length]);

  if (moments.length === 0) {
    return (
      <Empty title="No samples yet">
        <p>
          A run draws samples every few ticks and at its end. Ask for them more often with --sample-ticks when you start
          it, or draw some now under Draw, as soon as there is a checkpoint.
        </p>
      </Empty>
    );
  }
  const play = (): void => {
    if (!isPlaying && at >= moments.length - 1) setPlace(0);
    setPlaying(!isPlaying);
  };
  const shown = runs.map((run) => ({
    run,
    picture: run.detail.samples.findLast((sample) => sample.kimg <= moments[at]),
    grid: gridOf(run.detail.options),
  }));
  const grids = shown.flatMap(({ grid }) => grid ?? []);
  const seeds = grids.length === shown.length ? Math.min(...grids.map(({ count }) => count)) : 0;
  const chosen = Math.min(seed, Math.max(seeds - 1, 0));
  // Runs with other numbers of classes give one seed different ones.
  const classes = new Set(grids.map((grid) => grid.classes));
  const [labels] = classes.size === 1 ? classes : [0];
  const seedText = labels > 0 ? `${chosen}, class ${chosen % labels}` : String(chosen);
  return (
    <>
      <div class="controls" role="group" aria-label="Moment of training">
        <Slider
          label="After"
          value={at}
          max={moments.length - 1}
          text={`${kimg(moments[at])} images`}
          onChange={(next) => {
            setPlaying(false);
            setPlace(next);
          }}
          disabled={moments.length < 2}
        />
        <button type="button" onClick={play} disabled={moments.length < 2}>
          {isPlaying ? 'Pause' : 'Play'}
        </button>
        <span class="muted small hint">
          picture {at + 1} of {moments.length}
        </span>
      </div>
      <div class={seeds > 0 && shown.length === 1 ? 'beside' : ''}>
        <div class={`pictures many-${Math.min(shown.length, 3)}`}>
          {shown.map(({ run, picture, grid }) => (
            <figure key={run.summary.id} class="picture">
              {runs.length > 1 && (
                <figcaption>
                  <i class={`swatch bg-${run.color}`} aria-hidden="true" />
                  <b>{run.name}</b>
                  <span class="muted small">{picture ? `${kimg(picture.kimg)} images` : ''}</span>
                </figcaption>
              )}
              {picture ? (
                <Grid
                  address={filePath(run.summary.id, picture.file, picture.version)}
                  label={`Samples of run ${run.name} after ${kimg(picture.kimg)} images`}
                  grid={seeds > 0 ? grid : undefined}
                  seed={chosen}
                  onSeed={setSeed}
                />
              ) : (
                <p class="muted small">No samples of this run at that time yet.</p>
              )}
            </figure>
          ))}
        </div>
        {seeds > 0 && (
          <section class="group">
            <header>
              <h2>Seed by seed</h2>
              <p class="muted small">
                The same seed starts from the same noise in every run and at every time. Choose one here or in a
                picture.
              </p>
            </header>
            <div class="controls">
              <Slider
                label="Seed"
                value={chosen}
                max={Math.max(seeds - 1, 1)}
                text={seedText}
                onChange={setSeed}
                disabled={seeds < 2}
              />
            </div>
            <div class="strips">
              {shown.map(({ run, grid }) => (
                <div key={run.summary.id} class="strip">
                  {runs.length > 1 && (
                    <span class="strip-name small">
                      <i class={`swatch bg-${run.color}`} aria-hidden="true" /> {run.name}
                    </span>
                  )}
                  {run.detail.samples.slice(-8).map((sample) => (
                    <figure key={sample.file} class={sample.kimg === moments[at] ? 'now' : ''}>
                      <PixelGrid
                        address={filePath(run.summary.id, sample.file, sample.version)}
                        layout={grid!}
                        only={chosen}
                        label={`Seed ${seedText} of ${run.name} after ${kimg(sample.kimg)} images`}
                      />
                      <figcaption class="muted small">{kimg(sample.kimg)}</figcaption>
                    </figure>
                  ))}
                </div>
              ))}
            </div>
          </section>
        )}
      </div>
    </>
  );
}

/** A picture of samples; where it is a grid of seeds, one can be chosen with the pointer. */
function Grid({
  address,
  label,
  grid,
  seed,
  onSeed,
}: {
  address: string;
  label: string;
  grid: SeedGrid | undefined;
  seed: number;
  onSeed: (seed: number) => void;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const mark = useRef<HTMLElement>(null);
  useEffect(() => {
    const element = mark.current;
    if (!element || !grid) return;
    // Set one by one: style attributes are not allowed on this page.
    element.style.left = `${(100 * (seed % grid.columns)) / grid.columns}%`;
    element.style.top = `${(100 * Math.floor(seed / grid.columns)) / grid.rows}%`;
    element.style.width = `${100 / grid.columns}%`;
    element.style.height = `${100 / grid.rows}%`;
  }, [seed, grid?.columns, grid?.rows]);
  if (!grid) return <img src={address} alt={label} class="figure" />;
  return (
    <div
      ref={box}
      class="grid"
      onPointerDown={(event) => {
        const { left, top, width, height } = box.current!.getBoundingClientRect();
        const column = Math.floor(((event.clientX - left) / width) * grid.columns);
        const row = Math.floor(((event.clientY - top) / height) * grid.rows);
        const found = row * grid.columns + column;
        if (column >= 0 && column < grid.columns && found >= 0 && found < grid.count) onSeed(found);
      }}
    >
      <PixelGrid address={address} layout={grid} label={label} />
      <i ref={mark} class="seed-mark" aria-hidden="true" />
    </div>
  );
}
