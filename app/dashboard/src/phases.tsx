import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Empty } from '../../shared/components.tsx';
import { short } from './format.ts';
import type { ShownRun } from './shown-run.ts';
import { fetchSeries, filePath } from './server.ts';
import type { RunSeries } from './server.ts';

const phases = [
  ['low', 'Low noise', 'A noisy image has one likely source: both targets point there and hardly vary.'],
  [
    'mid',
    'Middle noise',
    'Several sources are likely. One sampled source makes the target jump; their weighted mean stays put.',
  ],
  ['high', 'High noise', 'All images are likely sources, and the stable target comes close to their mean.'],
] as const;

const keys = phases.flatMap(([range]) => [
  `Target/dsm_variance/${range}`,
  `Target/stf_variance/${range}`,
  `Target/effective_sources/${range}`,
]);

/** What figures of analyses show, for who does not see them. */
const figureWords: Readonly<Record<string, string>> = {
  phases:
    'variance of the target, distances of the posterior, effective sources and whether the source is found, over the noise level',
  sources: 'noisy images at three noise levels with their likeliest sources',
  covariance: 'variance of both targets over the noise level',
  bias: 'bias of the stable target over the noise level',
  gradients: 'noise of the gradient with both targets',
};

/** A variance this much smaller than the largest is none. */
const negligible = 1e-6;

/** What the two targets do in the three phases of the noise level, as measured while the run trained. */
export function Phases({ runs }: { runs: readonly ShownRun[] }): JSX.Element {
  const [series, setSeries] = useState<readonly RunSeries[]>();
  const ids = runs.map(({ summary }) => summary.id).join('\n');
  const versions = runs.map(({ summary }) => summary.version).join('\n');
  useEffect(() => {
    const controller = new AbortController();
    const query = { runs: ids.split('\n'), keys, axis: 'images', range: null, points: 64, band: false } as const;
    fetchSeries(query, controller.signal).then(setSeries, () => {});
    return () => controller.abort();
  }, [ids, versions]);
  const figures = runs.flatMap((run) => run.detail.figures.map((figure) => ({ run, figure })));
  const measured = (series ?? []).filter(({ curves }) => keys.some((key) => curves[key] !== undefined));
  if (series && measured.length === 0 && figures.length === 0) {
    return (
      <Empty title="No phases measured yet">
        <p>
          At each tick a run measures how much both targets vary at low, middle and high noise. This one has written
          none so far; the figure appears with its first tick.
        </p>
      </Empty>
    );
  }
  return (
    <>
      <p class="lead muted">
        How much the training target varies for one and the same noisy sample: with one sampled source (DSM), and with
        the weighted mean of a reference batch (STF). Means over training.
      </p>
      {measured.map((own) => {
        const run = runs.find(({ summary }) => summary.id === own.id);
        return run && <RunPhases key={own.id} run={run} series={own} isOne={runs.length === 1} />;
      })}
      {figures.length > 0 && (
        <section class="group">
          <header>
            <h2>Figures in the run folder</h2>
          </header>
          <div class="pictures">
            {figures.map(({ run, figure }) => {
              const address = filePath(run.summary.id, figure.file, figure.version);
              const where = runs.length > 1 ? `${run.name}, ` : '';
              return (
                <figure key={`${run.summary.id}/${figure.file}`} class="picture sheet">
                  <figcaption class="muted small">
                    {runs.length > 1 && <i class={`swatch bg-${run.color}`} aria-hidden="true" />}
                    {where}
                    <a href={address}>{figure.file}</a>
                  </figcaption>
                  <img src={address} alt={`${where}${figureAlt(figure.file)}`} />
                </figure>
              );
            })}
          </div>
        </section>
      )}
    </>
  );
}

function figureAlt(file: string): string {
  const name = file.replace(/^.*\//, '').replace(/\.png$/, '');
  return `Figure ${name}${figureWords[name] === undefined ? '' : `: ${figureWords[name]}`}`;
}

function RunPhases({ run, series, isOne }: { run: ShownRun; series: RunSeries; isOne: boolean }): JSX.Element {
  const borders = (run.detail.options as { sigmaRanges?: readonly number[] } | null)?.sigmaRanges;
  const where = (i: number): string =>
    !borders
      ? ''
      : i === 0
        ? `σ < ${borders[0]}`
        : i === 1
          ? `σ from ${borders[0]} to ${borders[1]}`
          : `σ > ${borders[1]}`;
  const smallest =
    negligible * Math.max(0, ...keys.map((key, i) => (i % 3 < 2 ? (mean(series.curves[key]?.mean ?? []) ?? 0) : 0)));
  return (
    <section class="group">
      {isOne ? (
        <h2 class="hidden-visually">Low, middle and high noise</h2>
      ) : (
        <header>
          <h2>
            <i class={`swatch bg-${run.color}`} aria-hidden="true" /> {run.name}
          </h2>
        </header>
      )}
      <div class="phases">
        {phases.map(([range, title, words], i) => {
          const [first, second, sources] = ['dsm_variance', 'stf_variance', 'effective_sources'].map((name) =>
            mean(series.curves[`Target/${name}/${range}`]?.mean ?? []),
          );
          const [dsm, stf] = [first, second].map((value) => (value !== undefined && value < smallest ? 0 : value));
          return (
            <article key={range} class="card phase">
              <header>
                <h3>{title}</h3>
                <span class="muted small">{where(i)}</span>
              </header>
              <Bars dsm={dsm} stf={stf} title={title} />
              <p class="verdict">{verdict(dsm, stf)}</p>
              <p class="muted small">{words}</p>
              {sources !== undefined && (
                <p class="small sources">
                  <span class="muted">Effective sources</span> <b>{short(sources)}</b>
                </p>
              )}
            </article>
          );
        })}
      </div>
    </section>
  );
}

/** Two variances as bars of one scale. */
function Bars({ dsm, stf, title }: { dsm: number | undefined; stf: number | undefined; title: string }): JSX.Element {
  const most = Math.max(dsm ?? 0, stf ?? 0) || 1;
  return (
    <div class="bars" role="img" aria-label={`${title}: variance of the target, DSM ${short(dsm)}, STF ${short(stf)}`}>
      {(
        [
          ['DSM', dsm, 'dsm'],
          ['STF', stf, 'stf'],
        ] as const
      ).map(([name, value, color]) => (
        <div key={name} class="bar">
          <span class="muted small">{name}</span>
          <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
            <rect x="0" y="0" width="100" height="10" class="bar-ground" />
            <rect x="0" y="0" width={Math.max(0.6, (100 * (value ?? 0)) / most)} height="10" class={`fill-${color}`} />
          </svg>
          <b class="small">{short(value)}</b>
        </div>
      ))}
    </div>
  );
}

function verdict(dsm: number | undefined, stf: number | undefined): string {
  if (dsm === undefined || stf === undefined) return 'not measured';
  if (dsm === 0) return 'neither varies';
  if (stf === 0) return 'STF does not vary';
  const ratio = dsm / stf;
  return ratio > 1.02 ? `${Number(ratio.toPrecision(2))} times less with STF` : 'the same with both';
}

function mean(values: readonly (number | null)[]): number | undefined {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length;
}
