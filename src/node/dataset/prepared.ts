import type { PictureTransform } from '../../data/picture-transforms.ts';
import type { Picture } from '../../data/resample.ts';
import { StfError } from '../../errors.ts';
import { encodePng } from '../../formats/png.ts';
import { mended, offencesOf } from './usable.ts';
import type { Loaded, Offence } from './usable.ts';

/** A picture on its way into an archive. */
export type Prepared =
  /** What keeps it from being used. */
  | { readonly offences: readonly Offence[] }
  /** The transform leaves it out. */
  | { readonly isLeftOut: true }
  /** What came of it, and its file. */
  | { readonly form: Pick<Picture, 'width' | 'height' | 'channels'>; readonly png: Uint8Array };

export interface Preparation<Transform> {
  readonly transform: Transform;
  /** Mend what can be mended. */
  readonly toRgb: boolean;
}

/** Makes what goes into an archive of a picture: mended, transformed, as an uncompressed PNG file. */
export function prepared(loaded: Loaded, { transform, toRgb }: Preparation<PictureTransform>): Prepared {
  const offences = offencesOf(loaded);
  if ('error' in loaded || (offences.length > 0 && !toRgb)) return { offences };
  let picture: Picture | undefined;
  try {
    picture = transform(mended(loaded.image, toRgb));
  } catch (error) {
    if (!(error instanceof StfError)) throw error;
    return { offences: [{ path: loaded.item.path, what: error.message, isMendable: false }] };
  }
  if (!picture) return { isLeftOut: true };
  const { width, height, channels, data } = picture;
  const png = encodePng({ width, height, channels: channels as 1 | 3, data }, { isStored: true });
  return { form: { width, height, channels }, png };
}

/** The bytes with memory that holds nothing else, so that it can change hands. */
export const ownBytes = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
  bytes.byteLength === bytes.buffer.byteLength ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice();
