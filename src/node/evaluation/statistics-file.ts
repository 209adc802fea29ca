import { z } from 'zod';
import { FormatError, UsageError } from '../../errors.ts';
import { encodeNpz, readNpzDoubles } from '../../formats/npy.ts';
import type { FeatureStatistics } from '../../metrics/index.ts';
import { pivotedCholesky } from '../../numerics/pivoted-cholesky.ts';
import { readFileChecked, sha256Of, writeFileAtomic } from '../files.ts';

/** What a file of statistics says of itself. */
const aboutSchema = z.looseObject({
  /** Name of the images, and where they are from. */
  name: z.string(),
  origin: z.record(z.string(), z.unknown()),
  extractor: z.looseObject({ name: z.string(), sha256: z.string(), resizer: z.string() }),
});
export type AboutStatistics = z.infer<typeof aboutSchema>;

/** Mean and covariance of the features of a set of images. */
export interface ReferenceStatistics extends Pick<FeatureStatistics, 'mu' | 'sigma'> {
  /** Images; unknown in files of other programs. */
  readonly n: number | undefined;
  /** What they were computed from and with; unknown in files of other programs. */
  readonly about: AboutStatistics | undefined;
  /** SHA-256 of the file. */
  readonly sha256: string;
}

/**
 * Writes statistics as EDM does, a .npz with the arrays `mu` and `sigma` in float64; `n` and `about`, JSON as bytes, are
 * beside them and disturb no reader.
 */
export async function writeStatistics(
  path: string,
  { n, mu, sigma }: FeatureStatistics,
  about: AboutStatistics,
): Promise<void> {
  const text = new TextEncoder().encode(JSON.stringify(about));
  const file = encodeNpz({
    mu: { shape: [mu.length], data: mu },
    sigma: { shape: [mu.length, mu.length], data: sigma },
    n: { shape: [], data: BigInt64Array.of(BigInt(n)) },
    about: { shape: [text.length], data: text },
  });
  await writeFileAtomic(path, file);
}

/**
 * Reads statistics: a .npz with `mu` [d] and `sigma` [d, d], from here, from EDM's fid.py or from pytorch-fid.
 *
 * @returns undefined for a .npz that has other arrays
 * @throws UsageError when the file can't be read, FormatError that names it when it is damaged, or its sigma no covariance
 * Cost: d^3 / 3 operations for that, a second for 2048 features, before anybody draws samples for hours.
 */
export async function readStatisticsFile(path: string): Promise<ReferenceStatistics | undefined> {
  const bytes = await readFileChecked(path);
  const arrays = readNpzDoubles(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), path);
  const [mu, sigma] = [arrays.get('mu'), arrays.get('sigma')];
  if (!mu || !sigma) return undefined;
  const [d] = mu.shape;
  if (mu.shape.length !== 1 || sigma.shape.join() !== [d, d].join())
    throw new FormatError(
      `${path}: mu [${mu.shape.join(', ')}] and sigma [${sigma.shape.join(', ')}] are no mean and covariance.`,
    );
  for (const [name, { data }] of Object.entries({ mu, sigma })) {
    const place = data.findIndex((value) => !Number.isFinite(value));
    if (place >= 0) throw new FormatError(`${path}: element ${place} of ${name} is ${data[place]}; damaged?`);
  }
  requireCovariance(sigma.data, d, path);
  const n = arrays.get('n')?.data[0];
  if (n !== undefined && !(Number.isSafeInteger(n) && n >= 1))
    throw new FormatError(`${path}: n is ${n}, and must be a number of images; damaged?`);
  return { n, mu: mu.data, sigma: sigma.data, about: aboutOf(arrays.get('about')?.data), sha256: sha256Of(bytes) };
}

/** Elements across the diagonal may differ by so much of the largest on it: other programs sum in another order. */
const mostAsymmetry = 1e-6;

function requireCovariance(sigma: Float64Array, d: number, path: string): void {
  let largest = 0;
  for (let i = 0; i < d; i++) largest = Math.max(largest, Math.abs(sigma[i * d + i]));
  for (let i = 0; i < d; i++)
    for (let j = i + 1; j < d; j++) {
      const [above, below] = [sigma[i * d + j], sigma[j * d + i]];
      if (Math.abs(above - below) > mostAsymmetry * largest)
        throw new FormatError(
          `${path}: sigma is no covariance: element (${i}, ${j}) is ${above}, and (${j}, ${i}) is ${below}.`,
        );
    }
  try {
    pivotedCholesky(sigma, d);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const reason = error.message.replace(/^pivotedCholesky: the matrix/, 'it').replace(/ Is it a covariance\?$/, '');
    throw new FormatError(`${path}: sigma is no covariance: ${reason}`, { cause: error });
  }
}

function aboutOf(bytes: Float64Array | undefined): AboutStatistics | undefined {
  if (!bytes) return undefined;
  try {
    return aboutSchema.parse(JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes))));
  } catch {
    return undefined; // from another program
  }
}
