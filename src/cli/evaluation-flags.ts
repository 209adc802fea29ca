import { join } from 'node:path';
import { Option } from 'commander';
import { UsageError } from '../errors.ts';
import type { Precision } from '../graph/index.ts';
import type { FeatureExtractor } from '../metrics/feature-extractor.ts';
import { inceptionBatch } from '../metrics/inception/index.ts';
import { cacheFolder } from '../node/cache.ts';
import { deviceRuntime } from '../node/devices.ts';
import type { DeviceChoice } from '../node/devices.ts';
import { featureCache } from '../node/evaluation/feature-cache.ts';
import type { FeatureCache } from '../node/evaluation/feature-cache.ts';
import { openOnnxExtractor } from '../node/evaluation/onnx-extractor.ts';
import { openInception } from '../node/inception-weights.ts';
import type { Device } from '../node/onnxruntime.ts';
import type { Runtime } from '../runtime/index.ts';
import { makeConsole } from './console.ts';
import { deviceOption, threadsOption, valueOption } from './help.ts';
import { Interrupted } from './io.ts';
import type { Io } from './io.ts';
import { integer, text } from './values.ts';

/** How features are computed: options that `stf evaluate` and `stf reference` share. */
export interface ExtractorFlags {
  readonly weights?: string;
  readonly features?: string;
  readonly batch?: number;
  readonly device?: DeviceChoice;
  readonly threads?: number;
  /** false with --no-cache */
  readonly cache?: boolean;
}

/** Those options. */
export const extractorOptions = (): Option[] => [
  valueOption(
    '--weights',
    text('FILE'),
    'Weights of Inception, .pth or .safetensors',
    'pt_inception-2015-12-05-6726825d.pth from the cache, where it is downloaded once',
  ),
  valueOption('--features', text('FILE.onnx'), 'Features of this ONNX model, not of Inception'),
  valueOption('--batch', integer('INT', { min: 1, max: 1024 }), 'Images at a time', '16; 64 for samples'),
  deviceOption(),
  threadsOption(),
  new Option('--no-cache', 'Compute all features anew and keep none'),
];

/** What features are computed with. */
export interface Extraction {
  readonly runtime: Runtime;
  readonly extractor: FeatureExtractor;
  readonly cache: FeatureCache | undefined;
  /** Engine and device in words, for reports and for names in the cache. */
  readonly engine: string;
}

/**
 * Opens the feature extractor.
 *
 * @param most  images of the largest set: a larger batch would only be filled up
 * @throws UsageError when --weights and --features are both given, or as of the extractors
 */
export async function openExtraction(
  io: Io,
  flags: ExtractorFlags,
  runtime: Runtime,
  most: number,
): Promise<Extraction> {
  const { weights, features } = flags;
  const batch = Math.min(flags.batch ?? inceptionBatch, most);
  if (weights !== undefined && features !== undefined)
    throw new UsageError(
      '--weights are those of Inception, and --features takes another network: give one of the two.',
    );
  const { note, progress } = makeConsole(io);
  let bar: ReturnType<typeof progress> | undefined;
  const extractor =
    features === undefined
      ? await openInception(runtime, {
          file: weights,
          batch,
          log: note,
          signal: io.interrupt,
          onProgress: (received, total) => {
            if (total === undefined) return;
            bar ??= progress({ unit: 'MB', total: total / 1e6, rate: { unit: 'MB/s', perUnit: 1 } });
            bar.update(received / 1e6);
          },
        }).finally(() => bar?.end())
      : await openOnnxExtractor(features, runtime, {
          batch,
          device: runtime.device as Device,
          threads: runtime.threads,
        });
  const cache = flags.cache === false ? undefined : featureCache(join(cacheFolder(), 'features'), note);
  return { runtime, extractor, cache, engine: engineName(runtime) };
}

export const engineName = ({ engine, device }: Runtime): string => `${engine}, ${device}`;

/** The runtime that the flags ask for. */
export const runtimeOf = ({
  device,
  threads,
  precision = 'float32',
}: ExtractorFlags & { precision?: Precision }): Promise<Runtime> =>
  deviceRuntime({ device, precision, ...(threads !== undefined && { threads }) });

/** Does something that a user may stop; features so far are kept. @throws Interrupted when it was stopped */
export async function interruptible<T>(io: Io, flags: ExtractorFlags, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!io.interrupt.aborted) throw error;
    throw new Interrupted(`interrupted; ${flags.cache === false ? 'nothing was written' : 'features so far are kept'}`);
  }
}
