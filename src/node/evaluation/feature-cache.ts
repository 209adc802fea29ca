import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FormatError, StfError } from '../../errors.ts';
import { decodeSafetensors, encodeSafetensors } from '../../formats/safetensors.ts';
import type { ImageFeatures } from '../../metrics/feature-extractor.ts';
import { ensureWritableFolder, sha256Of, writeFileAtomic } from '../files.ts';

const format = 'stf-features/1';

/** Features as they are kept. */
export interface KeptFeatures extends ImageFeatures {
  /** Evaluations of the network for each sample, where the images were drawn for it. */
  readonly nfe?: number | undefined;
}

/** Features that were computed before, in files by what they were computed from. */
export interface FeatureCache {
  /**
   * The features under a key, if they are there and whole.
   *
   * @param key  lower-case hexadecimal digits
   */
  get(
    key: string,
    expected: { readonly count: number; readonly dimension: number; readonly classes: number },
  ): Promise<KeptFeatures | undefined>;
  /** Keeps features; where they can't be written, that is told of and nothing else happens. */
  put(key: string, features: KeptFeatures, count: number): Promise<void>;
}

/**
 * A cache in a folder. A file has a SHA-256 of its values, which is compared when it is read: one that is damaged counts
 * for nothing, is told of, and is written anew.
 *
 * @param log  is told of damaged files, and of those that can't be written
 */
export function featureCache(folder: string, log: (line: string) => void = () => {}): FeatureCache {
  const pathOf = (key: string): string => join(folder, key.slice(0, 2), `${key}.safetensors`);
  return {
    get: async (key, expected) => {
      const path = pathOf(key);
      const bytes = await readFile(path).catch(() => undefined);
      if (!bytes) return undefined;
      try {
        return checked(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), key, expected);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        log(`${path}: ${error.message}; these features are computed again`);
        return undefined;
      }
    },
    put: async (key, { features, logits, nfe }, count) => {
      const path = pathOf(key);
      const tensor = (data: Float32Array) => ({ dtype: 'F32', shape: [count, data.length / count], data }) as const;
      const tensors = { features: tensor(features), ...(logits && { logits: tensor(logits) }) };
      const bytes = encodeSafetensors(tensors, {
        ...{ format, key, sha256: checksum(features, logits) },
        ...(nfe !== undefined && { nfe: String(nfe) }),
      });
      try {
        await ensureWritableFolder(dirname(path));
        await writeFileAtomic(path, bytes);
      } catch (error) {
        if (!(error instanceof StfError)) throw error;
        log(`these features are not kept: ${error.message}`);
      }
    },
  };
}

function checked(
  bytes: Uint8Array,
  key: string,
  { count, dimension, classes }: Parameters<FeatureCache['get']>[1],
): KeptFeatures {
  const { tensors, metadata } = decodeSafetensors(bytes);
  const [features, logits] = ['features', 'logits'].map((name) => tensors.get(name)?.data as Float32Array | undefined);
  if (
    metadata.format !== format ||
    metadata.key !== key ||
    features?.length !== count * dimension ||
    (logits?.length ?? 0) !== count * classes
  )
    throw new FormatError('not the features that belong under this name');
  if (metadata.sha256 !== checksum(features, logits)) throw new FormatError('damaged');
  return { features, ...(logits && { logits }), ...(metadata.nfe !== undefined && { nfe: Number(metadata.nfe) }) };
}

function checksum(...values: readonly (Float32Array | undefined)[]): string {
  const hash = createHash('sha256');
  for (const each of values) if (each) hash.update(new Uint8Array(each.buffer, each.byteOffset, each.byteLength));
  return hash.digest('hex');
}

/** A key out of anything that determines features: texts, and pixels. */
export function cacheKey(parts: readonly (string | Uint8Array)[]): string {
  const hashes = parts.map((part) => sha256Of(typeof part === 'string' ? new TextEncoder().encode(part) : part));
  return sha256Of(new TextEncoder().encode(hashes.join()));
}
