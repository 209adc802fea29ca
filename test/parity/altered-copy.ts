import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';

/** One file of an altered copy, to be changed in place. */
export interface Altered {
  readonly tensors: Map<string, NamedTensor>;
  readonly entry: Record<string, unknown>;
}

/**
 * Copies some files of a folder of reference data to a temporary place, altered.
 *
 * @param folder  the original, with a folder `networks` beside it
 * @param keep    names of the files that the copy has
 * @param alter   changes them, in the order of `keep`: the first, and what else it wants
 * @returns       the copy's path; the caller removes the folder around it
 */
export function alteredCopy(folder: string, keep: readonly string[], alter: (...files: Altered[]) => void): string {
  const around = mkdtempSync(join(tmpdir(), 'stf-parity-'));
  const networks = join(folder, '..', 'networks');
  cpSync(networks, join(around, 'networks'), { recursive: true });
  const path = join(around, 'copy');
  mkdirSync(path);
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
    files: Record<string, Record<string, unknown>>;
  };
  manifest.files = Object.fromEntries(keep.map((name) => [name, manifest.files[name]]));
  const files = keep.map((name): Altered => {
    const entry = manifest.files[name];
    // The size of the header depends on who writes it.
    delete entry.bytes;
    return { tensors: decodeSafetensors(readFileSync(join(folder, name))).tensors, entry };
  });
  alter(...files);
  keep.forEach((name, index) => writeFileSync(join(path, name), encodeSafetensors(files[index].tensors)));
  writeFileSync(join(path, 'manifest.json'), JSON.stringify(manifest));
  return path;
}

/** Moves the largest value of a tensor by a share of itself. */
export function moveLargest(tensors: ReadonlyMap<string, NamedTensor>, name: string, share: number): void {
  const data = tensors.get(name)!.data as Float32Array;
  let at = 0;
  data.forEach((value, i) => {
    if (Math.abs(value) > Math.abs(data[at])) at = i;
  });
  data[at] *= 1 + share;
}
