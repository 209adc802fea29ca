import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { FormatError, UsageError } from '../../src/errors.ts';
import { decodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { BadData } from './check.ts';

const manifestName = 'manifest.json';

/** What a manifest says about one file; its fields depend on the kind of data. */
export type Entry = Readonly<Record<string, unknown>>;

/** A field of an entry; undefined where it has none of that name. */
export const field = (entry: Entry, name: string): unknown => (Object.hasOwn(entry, name) ? entry[name] : undefined);

const entrySchema = z.record(z.string(), z.unknown());
/** `files` maps names to entries, or is a list of entries that hold their names. */
const manifestSchema = z.looseObject({
  conventions: z.unknown().optional(),
  files: z.union([z.record(z.string(), entrySchema), z.array(z.looseObject({ file: z.string() }))]),
});

/** Type and shape of the tensors of a file, as its manifest lists them. */
const tensorList = z.record(
  z.string(),
  z.union([
    z.tuple([z.string(), z.array(z.number())]),
    z
      .looseObject({ dtype: z.string(), shape: z.array(z.number()) })
      .transform(({ dtype, shape }): [string, number[]] => [dtype, shape]),
  ]),
);

/** One file of reference data, and which of its tensors have been looked at. */
export class ParityFile {
  private decoded: ReadonlyMap<string, NamedTensor> | undefined;
  /** Names of the tensors that a checker asked for. */
  readonly used = new Set<string>();

  constructor(
    readonly path: string,
    readonly entry: Entry,
  ) {}

  get name(): string {
    return basename(this.path);
  }

  /**
   * All tensors. They are decoded at the first call and compared with the manifest's list.
   *
   * @throws BadData when the file is missing, damaged, or does not hold what the manifest says
   */
  private get tensors(): ReadonlyMap<string, NamedTensor> {
    this.decoded ??= this.decode();
    return this.decoded;
  }

  private decode(): ReadonlyMap<string, NamedTensor> {
    if (!existsSync(this.path)) throw new BadData(`the manifest names ${this.name}, but there is no such file`);
    const bytes = readFileSync(this.path);
    if (typeof this.entry.bytes === 'number' && this.entry.bytes !== bytes.length) {
      throw new BadData(`${this.name} has ${bytes.length} bytes, its manifest says ${this.entry.bytes}`);
    }
    const { tensors } = decodeSafetensors(bytes);
    const listed = tensorList.safeParse(this.entry.tensors);
    if (listed.success) {
      for (const [name, [dtype, shape]] of Object.entries(listed.data)) {
        const tensor = tensors.get(name);
        const found = tensor ? `${tensor.dtype} [${tensor.shape.join(', ')}]` : 'nothing';
        const expected = `${dtype} [${shape.join(', ')}]`;
        if (found !== expected) {
          throw new BadData(`tensor "${name}" is ${found} in ${this.name}, its manifest says ${expected}`);
        }
      }
    }
    return tensors;
  }

  names(): string[] {
    return [...this.tensors.keys()];
  }

  /** The tensor of that name, which counts as used from now on; undefined if there is none. */
  find(name: string): NamedTensor | undefined {
    const tensor = this.tensors.get(name);
    if (tensor) this.used.add(name);
    return tensor;
  }

  /** The tensor of that name, which counts as used from now on. */
  get(name: string): NamedTensor {
    const tensor = this.find(name);
    if (!tensor) throw new BadData(`${this.name} has no tensor "${name}"`);
    return tensor;
  }

  /** A tensor of float32 values. */
  floats(name: string): { shape: readonly number[]; data: Float32Array } {
    const { shape, data } = this.get(name);
    if (!(data instanceof Float32Array)) throw new BadData(`tensor "${name}" in ${this.name} is not F32`);
    return { shape, data };
  }

  /** The values of a tensor of float64. */
  doubles(name: string): Float64Array {
    const { data } = this.get(name);
    if (!(data instanceof Float64Array)) throw new BadData(`tensor "${name}" in ${this.name} is not F64`);
    return data;
  }

  /** A tensor of integers as numbers. */
  integers(name: string): { shape: readonly number[]; data: number[] } {
    const { shape, data } = this.get(name);
    if (!(data instanceof BigInt64Array)) throw new BadData(`tensor "${name}" in ${this.name} is not I64`);
    return { shape, data: Array.from(data, Number) };
  }

  /** All tensors whose names begin with a prefix, without it; they count as used from now on. */
  under(prefix: string): Map<string, NamedTensor> {
    const names = this.names().filter((name) => name.startsWith(prefix));
    return new Map(names.map((name) => [name.slice(prefix.length), this.get(name)]));
  }
}

/** A folder of reference data with its manifest. */
export class ParityFolder {
  readonly path: string;
  readonly files: ReadonlyMap<string, ParityFile>;
  /** What the manifest says about all of its files. */
  readonly conventions: unknown;

  /**
   * Reads the manifest.
   *
   * @throws UsageError when the folder or its manifest does not exist
   * @throws FormatError when the manifest can't be read
   */
  constructor(path: string) {
    this.path = resolve(path);
    const manifestPath = join(this.path, manifestName);
    if (!existsSync(manifestPath)) throw new UsageError(`there is no ${manifestName} in ${path}.`);
    const { files, conventions } = readManifest(manifestPath);
    this.conventions = conventions;
    const entries: (readonly [string, Entry])[] = Array.isArray(files)
      ? files.map((entry) => [entry.file, entry] as const)
      : Object.entries(files);
    this.files = new Map(entries.map(([name, entry]) => [name, new ParityFile(join(this.path, name), entry)]));
  }

  get name(): string {
    return basename(this.path);
  }

  /**
   * The file of that name.
   *
   * @throws BadData when the manifest does not name it
   */
  file(name: string): ParityFile {
    const file = this.files.get(name);
    if (!file) throw new BadData(`${this.name}/${manifestName} does not name ${name}`);
    return file;
  }

  /** The only file whose entry satisfies a condition; `what` says in the message what was looked for. */
  only(what: string, condition: (entry: Entry) => boolean): ParityFile {
    const found = [...this.files.values()].filter(({ entry }) => condition(entry));
    if (found.length !== 1) throw new BadData(`${this.name} has ${found.length} files with ${what}, not one`);
    return found[0];
  }

  /** A file named `folder/file`, in a folder beside this one. */
  beside(name: string): ParityFile {
    return new ParityFolder(join(dirname(this.path), dirname(name))).file(basename(name));
  }

  /** Files on disk that the manifest does not name, nor a folder that it names (`name/`). */
  unlisted(): string[] {
    const folders = [...this.files.keys()].filter((name) => name.endsWith('/'));
    return readdirSync(this.path, { recursive: true, withFileTypes: true })
      .filter((each) => each.isFile())
      .map((each) =>
        join(each.parentPath, each.name)
          .slice(this.path.length + 1)
          .replaceAll('\\', '/'),
      )
      .filter((name) => name !== manifestName && !this.files.has(name))
      .filter((name) => !folders.some((folder) => name.startsWith(folder)))
      .sort((a, b) => (a < b ? -1 : 1));
  }
}

function readManifest(path: string): z.infer<typeof manifestSchema> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new FormatError(`${path} is not JSON: ${String(error)}`);
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) throw new FormatError(`${path} is not a manifest:\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/**
 * The folders that an argument of the command stands for: itself if it has a manifest, else those in it that have one.
 *
 * @throws UsageError when there is no such folder, or no manifest
 */
export function foldersAt(path: string): ParityFolder[] {
  if (!existsSync(path) || !statSync(path).isDirectory()) throw new UsageError(`there is no folder ${path}.`);
  if (existsSync(join(path, manifestName))) return [new ParityFolder(path)];
  const inside = readdirSync(path, { withFileTypes: true })
    .filter((each) => each.isDirectory() && existsSync(join(path, each.name, manifestName)))
    .map((each) => each.name)
    .sort((a, b) => (a < b ? -1 : 1));
  if (inside.length === 0) throw new UsageError(`there is no ${manifestName} in ${path}, nor in a folder in it.`);
  return inside.map((name) => new ParityFolder(join(path, name)));
}
