import { unzipSync } from 'fflate';
import type { UnzipFileInfo } from 'fflate';
import { FormatError } from '../errors.ts';
import { crc32, crcText } from './crc32.ts';
import { kindOf, unpickle } from './pickle.ts';
import { arrayTypes } from './safetensors.ts';
import type { NamedTensor, SafetensorsDtype } from './safetensors.ts';
import type { TorchStorage, TorchTensor } from './torch-pickle.ts';
import { storageOf, torchGlobals } from './torch-pickle.ts';

/*
 * Files that PyTorch writes, read without PyTorch: torch.save as a zip archive (since 1.6) and in the older form, and
 * plain pickles of networks. Source: torch/serialization.py and caffe2/serialize of PyTorch 1.13.
 */

/** The number that begins a file of the older form. */
const magicNumber = 0x1950a86a20f9469cfc6cn;
const legacyProtocol = 1001;

const sizeOf = (dtype: SafetensorsDtype): number => arrayTypes[dtype].BYTES_PER_ELEMENT;

/**
 * Reads a file of torch.save (.pt, .pth), or a plain pickle with tensors (.pkl). No code is run: names that are not on
 * the list of `torch-pickle.ts` are refused.
 *
 * Archives have a checksum of every entry, which is compared. The older form of torch.save and plain pickles, .pkl, have
 * none: values of tensors that were damaged on the way are not noticed in them, lengths and structure are.
 *
 * @param file  the whole file
 * @returns     its object: dicts are Maps, tensors TorchTensor, modules PickledObject
 * @throws FormatError that says what was found where
 */
export function readTorch(file: Uint8Array): unknown {
  // A Buffer of Node has methods of its own under the same names.
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.length);
  if (bytes.length === 0) throw new FormatError('torch: the file is empty');
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return readZip(bytes);
  if (isLegacy(bytes)) return readLegacy(bytes, 'torch');
  const storages = torchGlobals((inner) => readLegacy(inner, 'storage'));
  const { value, end } = unpickle(bytes, { globals: storages });
  if (end !== bytes.length)
    throw new FormatError(`pickle: ends at byte ${end}, but the file has ${bytes.length} bytes`);
  return value;
}

/** Whether the bytes begin with the magic number, as PyTorch pickles it. */
function isLegacy(bytes: Uint8Array): boolean {
  // PROTO n, LONG1 of 10 bytes
  if (bytes[0] !== 0x80 || bytes[2] !== 0x8a || bytes[3] !== 10 || bytes.length < 15) return false;
  let value = 0n;
  for (let i = 13; i >= 4; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value === magicNumber;
}

/** The older form: magic number, protocol, system, object, keys of the storages, and their values one after another. */
function readLegacy(bytes: Uint8Array, source: string): unknown {
  const globals = torchGlobals();
  const storages = new Map<string, TorchStorage>();
  let start = 0;
  const next = (): unknown => {
    const options = { globals, persistent: (id: unknown) => storageOf(id, storages), start, source };
    const { value, end } = unpickle(bytes, options);
    start = end;
    return value;
  };
  if (!isLegacy(bytes)) throw new FormatError(`${source}: does not begin with the magic number of torch.save`);
  next();
  const protocol = next();
  if (protocol !== legacyProtocol)
    throw new FormatError(`${source}: protocol ${kindOf(protocol)}, ${legacyProtocol} is known`);
  const system = next();
  if (!(system instanceof Map) || system.get('little_endian') !== true)
    throw new FormatError(`${source}: written on a big-endian machine, or damaged`);
  const value = next();
  const keys = next();
  if (!Array.isArray(keys)) throw new FormatError(`${source}: the keys of the storages are ${kindOf(keys)}`);
  for (const key of keys as unknown[]) {
    const storage = storages.get(key as string);
    if (!storage || storage.bytes)
      throw new FormatError(`${source}: storage ${kindOf(key)} is not in use, or comes twice`);
    const needed = 8 + storage.length * sizeOf(storage.dtype);
    if (needed > bytes.length - start)
      throw new FormatError(
        `${source}: at byte ${start}: storage ${kindOf(key)} takes ${needed} bytes, ${bytes.length - start} remain; truncated?`,
      );
    const count = new DataView(bytes.buffer, bytes.byteOffset + start).getBigInt64(0, true);
    if (count !== BigInt(storage.length))
      throw new FormatError(
        `${source}: at byte ${start}: storage ${kindOf(key)} has ${count} values, not ${storage.length}`,
      );
    storage.bytes = bytes.subarray(start + 8, start + needed);
    start += needed;
  }
  if (start !== bytes.length)
    throw new FormatError(`${source}: ends at byte ${start}, but there are ${bytes.length} bytes`);
  checkFilled(storages, source);
  return value;
}

/** A zip archive with stored entries NAME/data.pkl, the object, and NAME/data/KEY, the values of the storages. */
function readZip(bytes: Uint8Array): unknown {
  const entries = unzipStored(bytes);
  const main = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (main.length !== 1) throw new FormatError(`torch: the archive has ${main.length} entries NAME/data.pkl, not one`);
  const folder = main[0].slice(0, -'data.pkl'.length);
  const order = entries.get(`${folder}byteorder`);
  if (order && new TextDecoder().decode(order) !== 'little') throw new FormatError('torch: the values are big-endian');
  const storages = new Map<string, TorchStorage>();
  const pickle = entries.get(main[0])!;
  const { value, end } = unpickle(pickle, {
    globals: torchGlobals(),
    persistent: (id) => storageOf(id, storages),
    source: main[0].slice(0, 80),
  });
  if (end !== pickle.length) throw new FormatError(`torch: the pickle ends at byte ${end} of ${pickle.length}`);
  for (const [key, storage] of storages) {
    const data = entries.get(`${folder}data/${key}`);
    const needed = storage.length * sizeOf(storage.dtype);
    if (data?.length !== needed)
      throw new FormatError(
        `torch: the entry data/${key.slice(0, 40)} should have ${needed} bytes, got ${data ? data.length : 'no entry'}`,
      );
    storage.bytes = data;
  }
  return value;
}

/**
 * The entries of an archive, each with the checksum that the directory gives. None may be compressed, and together they
 * are not longer than the archive.
 */
function unzipStored(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  let total = 0;
  let count = 0;
  const promised = new Map<string, { size: number; checksum: number }>();
  const directory = directoryChecksums(bytes);
  const accept = ({ name, size, originalSize, compression }: UnzipFileInfo): boolean => {
    total += size;
    count += 1;
    const shown = JSON.stringify(name.slice(0, 80));
    if (compression !== 0 || size !== originalSize)
      throw new FormatError(`torch: the entry ${shown} is compressed; torch.save never does that`);
    if (!(total <= bytes.length) || count > bytes.length / 46)
      throw new FormatError(`torch: the entries up to ${shown} are longer than the archive; damaged?`);
    if (promised.has(name)) throw new FormatError(`torch: the entry ${shown} comes twice`);
    promised.set(name, { size, checksum: directory() });
    return true;
  };
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(bytes, { filter: accept });
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw new FormatError(
      `torch: not a whole zip archive (${error instanceof Error ? error.message : String(error)}); truncated?`,
    );
  }
  const entries = new Map(Object.entries(files));
  for (const [name, { size, checksum }] of promised) {
    const entry = entries.get(name);
    const shown = JSON.stringify(name.slice(0, 80));
    if (entry?.length !== size) throw new FormatError(`torch: the entry ${shown} is cut off; truncated?`);
    const found = crc32(entry);
    if (found !== checksum)
      throw new FormatError(
        `torch: the entry ${shown} has the CRC-32 ${crcText(found)}, and was written with ${crcText(checksum)}; damaged?`,
      );
  }
  return entries;
}

/**
 * The checksums of the entries in the order of the archive's directory, one at each call: fflate looks for the directory
 * in the same way, but gives none. Source: APPNOTE.TXT of PKWARE, sections 4.3.12 to 4.3.16.
 *
 * @throws RangeError where the directory leaves the archive
 */
function directoryChecksums(bytes: Uint8Array): () => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at: number | undefined;
  return () => {
    at ??= directoryStart(view);
    const checksum = view.getUint32(at + 16, true);
    at += 46 + view.getUint16(at + 28, true) + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    return checksum;
  };
}

/** Where the directory begins: the end record says so, or that of zip64 whose locator lies before it. */
function directoryStart(view: DataView): number {
  let end = view.byteLength - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end--;
  if (end >= 20 && view.getUint32(end - 20, true) === 0x07064b50) {
    const wide = view.getUint32(end - 12, true);
    if (view.getUint32(wide, true) === 0x06064b50) return view.getUint32(wide + 48, true);
  }
  return view.getUint32(end + 16, true);
}

function checkFilled(storages: ReadonlyMap<string, TorchStorage>, source: string): void {
  for (const [key, storage] of storages) {
    if (!storage.bytes)
      throw new FormatError(`${source}: the values of storage ${JSON.stringify(key.slice(0, 40))} are missing`);
  }
}

/** Copies of tensors that are views in another order may take this many times the bytes of their storages. */
const mostCopies = 4;

/**
 * Gives the values of tensors in row-major order: views of their storage where they lie so, and copies elsewhere. The
 * copies of one reader are bounded by the storages that were seen, so that a small file can't ask for much memory.
 */
export function tensorReader(): (tensor: TorchTensor, name: string) => NamedTensor {
  const aligned = new WeakMap<TorchStorage, NamedTensor['data']>();
  let seen = 0;
  let copied = 0;
  const valuesOf = (storage: TorchStorage, name: string): NamedTensor['data'] => {
    const known = aligned.get(storage);
    if (known) return known;
    if (!storage.bytes) throw new FormatError(`torch "${name}": the values of its storage are missing`);
    seen += storage.bytes.length;
    const type = arrayTypes[storage.dtype];
    const { buffer, byteOffset } =
      storage.bytes.byteOffset % type.BYTES_PER_ELEMENT === 0 ? storage.bytes : new Uint8Array(storage.bytes);
    const values = new type(buffer, byteOffset, storage.length);
    aligned.set(storage, values);
    return values;
  };
  return (tensor, name) => {
    const { storage, offset, shape, strides } = tensor;
    const count = shape.reduce((result, extent) => result * extent, 1);
    const last = count === 0 ? offset - 1 : shape.reduce((at, extent, i) => at + (extent - 1) * strides[i], offset);
    if (
      !Number.isSafeInteger(count) ||
      !Number.isSafeInteger(last) ||
      last >= storage.length ||
      offset > storage.length
    )
      throw new FormatError(
        `torch "${name.slice(0, 80)}": shape [${shape.join(', ')}] with strides [${strides.join(', ')}] from ${offset} ` +
          `lies outside the ${storage.length} values of its storage`,
      );
    const values = valuesOf(storage, name);
    if (isRowMajor(shape, strides)) {
      return { dtype: storage.dtype, shape, data: values.subarray(offset, offset + count) };
    }
    copied += count * values.BYTES_PER_ELEMENT;
    if (copied > mostCopies * seen)
      throw new FormatError(
        `torch "${name.slice(0, 80)}": views that repeat values would take ${copied} bytes, the file has ${seen}`,
      );
    return { dtype: storage.dtype, shape, data: gather(values, offset, shape, strides, count) };
  };
}

function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i];
  }
  return true;
}

/** Values of a strided view in row-major order. */
function gather(
  values: NamedTensor['data'],
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
  count: number,
): NamedTensor['data'] {
  const result = values.slice(0, 0).constructor as new (length: number) => NamedTensor['data'];
  const out = new result(count);
  const index = shape.map(() => 0);
  let from = offset;
  for (let to = 0; to < count; to++) {
    out[to] = values[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= shape[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return out;
}
