import { toUint8 } from '../../data/pixels.ts';
import type { Precision } from '../../graph/index.ts';
import { sampleShapeOf } from '../../networks/index.ts';
import type { Runtime } from '../../runtime/index.ts';
import { compileDenoiser, generateWith } from '../../sampling/index.ts';
import type { CompiledDenoiser, SamplerConfig } from '../../sampling/index.ts';
import { packageVersion } from '../doctor.ts';
import { sha256Of } from '../files.ts';
import type { FoundCheckpoint } from '../run-reader.ts';
import type { ImageSet } from './image-set.ts';

/** What is drawn from a network, and how. */
export interface Drawing {
  readonly found: FoundCheckpoint;
  readonly sampler: SamplerConfig;
  /** One a sample. */
  readonly seeds: readonly number[];
  /** Samples at a time. */
  readonly batch: number;
  /** Class of all samples; of class-conditional networks the seed modulo their number when left out. */
  readonly class?: number | undefined;
  readonly guidance?: number | undefined;
  readonly precision?: Precision | undefined;
  /** Told how many samples of a part are done, in fractions of one. */
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Samples of a network that are drawn when they are asked for. */
export interface Samples {
  /** Shape of one. */
  readonly shape: readonly number[];
  /** Everything that determines them, as plain data, but for the engine. */
  readonly origin: Readonly<Record<string, unknown>>;
  /** Samples number `from` to `to` - 1 in data units, [to - from, ...shape]. */
  draw(from: number, to: number): Promise<Float32Array>;
  /** Evaluations of the network for each sample, once one is drawn. */
  readonly nfe: number | undefined;
  close(): Promise<void>;
}

/** Samples of a network, images or points. The network is compiled when the first are drawn. */
export function samplesOf(runtime: Runtime, drawing: Drawing): Samples {
  const { found, sampler, seeds, guidance = 1, precision = 'float32', onProgress, signal } = drawing;
  const { options, vectors, progress } = found.checkpoint;
  const shape = sampleShapeOf(options.denoiser.network);
  const { labelDim } = options.denoiser.network;
  const batch = Math.min(drawing.batch, seeds.length);
  const { buffer, byteOffset, byteLength } = vectors.ema;
  let denoiser: CompiledDenoiser | undefined;
  let nfe: number | undefined;
  return {
    shape,
    origin: {
      kind: 'network',
      file: found.file,
      kimg: progress.nimg / 1000,
      weightsSha256: sha256Of(new Uint8Array(buffer, byteOffset, byteLength)),
      denoiser: options.denoiser,
      sampler,
      batch,
      class: drawing.class ?? (labelDim > 0 ? 'seed modulo the number of classes' : null),
      guidance,
      precision,
    },
    get nfe() {
      return nfe;
    },
    draw: async (from, to) => {
      denoiser ??= await compileDenoiser(runtime, options.denoiser, { batch, precision, weights: vectors.ema });
      const some = seeds.slice(from, to);
      const before = denoiser.evaluations;
      const drawn = await generateWith(denoiser, shape, some, {
        ...sampler,
        ...(labelDim > 0 && { labels: some.map((seed) => drawing.class ?? seed % labelDim), guidance }),
        onProgress: ({ samplesDone }) => {
          onProgress?.(from + samplesDone);
          signal?.throwIfAborted();
        },
      });
      nfe = Math.round((denoiser.evaluations - before) / Math.ceil(some.length / batch));
      return drawn;
    },
    close: async () => denoiser?.release(),
  };
}

/** Samples that are images, as a set of them. */
export function sampledImages(
  samples: Samples,
  { name, seeds, engine }: { name: string; seeds: readonly number[]; engine: string },
): ImageSet {
  const shape = samples.shape as [number, number, number];
  const size = shape[0] * shape[1] * shape[2];
  return {
    name,
    origin: samples.origin,
    length: seeds.length,
    shape,
    read: async (from, to) => toUint8(await samples.draw(from, to), size),
    // Another version may draw other samples by the same recipe.
    recipe: (from, to) =>
      JSON.stringify({ ...samples.origin, file: '', engine, version: packageVersion, seeds: seeds.slice(from, to) }),
    nfe: () => samples.nfe,
    close: () => samples.close(),
  };
}
