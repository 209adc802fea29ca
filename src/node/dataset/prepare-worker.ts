import { workerData } from 'node:worker_threads';
import { transformOf } from '../../data/picture-transforms.ts';
import type { PictureRecipe } from '../../data/picture-transforms.ts';
import { FormatError } from '../../errors.ts';
import { answerRequests } from '../loader/worker-port.ts';
import { decodeImage } from './image-file.ts';
import { ownBytes, prepared } from './prepared.ts';
import type { Preparation, Prepared } from './prepared.ts';
import { loadInOrder } from './usable.ts';

/* The program of a worker thread that prepares pictures for an archive: files in, files out. */

/** Files of pictures: their bytes, or why these could not be had. */
export type UnpreparedBatch = readonly ({ readonly path: string } & (
  { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly fault: string }
))[];

/** What came of each. */
export type PreparedBatch = readonly Prepared[];

const { transform, toRgb } = workerData as Preparation<PictureRecipe>;
const preparation = { transform: transformOf(transform), toRgb };

/** Pictures that are decoded at the same time. One waits while another is transformed. */
const atOnce = 2;

async function prepareBatch(files: UnpreparedBatch): Promise<PreparedBatch> {
  const item = (index: number) => {
    const file = files[index];
    const load = async () => {
      if ('fault' in file) throw new FormatError(file.fault);
      return decodeImage(file.bytes, file.path);
    };
    return { path: file.path, label: null, load };
  };
  const source = { kind: 'files', name: 'files', length: files.length, item, close: () => {} };
  const batch: Prepared[] = [];
  for await (const loaded of loadInOrder(source, { atOnce })) {
    const made = prepared(loaded, preparation);
    batch.push('png' in made ? { ...made, png: ownBytes(made.png) } : made);
  }
  return batch;
}

answerRequests(prepareBatch, (batch) =>
  batch.flatMap((made) => ('png' in made ? (made.png.buffer as ArrayBuffer) : [])),
);
