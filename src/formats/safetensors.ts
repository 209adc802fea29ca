import { FormatError, ShapeError } from '../errors.ts';

/** Element types this library stores. F16 and BF16 have no typed array: their values stay the raw 16 bits. */
export type SafetensorsDtype = 'F32' | 'F64' | 'I64' | 'I32' | 'U8' | 'BOOL' | 'F16' | 'BF16';

/** A tensor in a safetensors file: row-major values. A scalar has shape [] and one value. BOOL is one byte, 0 or 1. */
export interface NamedTensor {
  dtype: SafetensorsDtype;
  shape: readonly number[];
  data: Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | Uint16Array;
}

type TensorArray = NamedTensor['data'];

export interface TensorArrayType {
  new (length: number): TensorArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TensorArray;
  readonly BYTES_PER_ELEMENT: number;
}

/** The typed array that holds each element type; F16 and BF16 are kept as raw 16 bits. */
export const arrayTypes: Readonly<Record<SafetensorsDtype, TensorArrayType>> = {
  F32: Float32Array,
  F64: Float64Array,
  I64: BigInt64Array,
  I32: Int32Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
  F16: Uint16Array,
  BF16: Uint16Array,
};

/**
 * Whether a file is meant to be of this format, whole or not: by a header length that is possible, and the brace behind it.
 */
export function looksLikeSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 9 || bytes[8] !== 0x7b) return false;
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true) <= BigInt(longestHeader);
}

/** The limit of the reference implementation: a longer header is an attack or another format. */
const longestHeader = 100_000_000;
/** Of a tensor. */
const mostDimensions = 64;
const metadataKey = '__metadata__';

/**
 * Writes tensors as a safetensors file: 8 bytes little-endian header length, a JSON header padded with spaces so that
 * the data starts at a multiple of 8, then the data without gaps, largest item size first and by name within a size, so
 * that every tensor is aligned for a typed-array view. Source: the format's README (huggingface/safetensors).
 *
 * @param tensors  by name; the order does not matter
 * @param metadata free text, by key
 * @throws ShapeError when a tensor's values do not fit its dtype or shape, or it has the reserved name `__metadata__`
 */
export function encodeSafetensors(
  tensors: Readonly<Record<string, NamedTensor>> | ReadonlyMap<string, NamedTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const all = new Map(tensors instanceof Map ? tensors.entries() : Object.entries(tensors)) as Map<string, NamedTensor>;
  for (const [name, tensor] of all) checkTensor(name, tensor);
  const { header, order } = safetensorsHeader(all, metadata);
  const ordered = order.map((name) => all.get(name)!.data);
  const file = new Uint8Array(ordered.reduce((length, { byteLength }) => length + byteLength, header.length));
  file.set(header);
  let offset = header.length;
  for (const data of ordered) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return file;
}

/** What a header says of a tensor beside its name and its place. */
export type TensorType = Pick<NamedTensor, 'dtype' | 'shape'>;

/**
 * The beginning of a safetensors file, for those who write the data themselves: without gaps, in this order.
 *
 * @returns the length of the header and the header, and the names of the tensors as their data follow
 * @throws ShapeError when there is more to say than the format allows
 */
export function safetensorsHeader(
  tensors: ReadonlyMap<string, TensorType>,
  metadata: Readonly<Record<string, string>> = {},
): { header: Uint8Array<ArrayBuffer>; order: string[] } {
  const entries = [...tensors];
  entries.sort(([nameA, a], [nameB, b]) => itemSize(b) - itemSize(a) || (nameA < nameB ? -1 : 1));
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) fields.push(`${JSON.stringify(metadataKey)}:${JSON.stringify(metadata)}`);
  let end = 0;
  for (const [name, { dtype, shape }] of entries) {
    const begin = end;
    end += shape.reduce((product, extent) => product * extent, itemSize({ dtype }));
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > longestHeader)
    throw new ShapeError(`safetensors: the header would be ${length} bytes, the format's limit is ${longestHeader}`);
  const header = new Uint8Array(8 + length).fill(0x20, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return { header, order: entries.map(([name]) => name) };
}

function itemSize({ dtype }: Pick<NamedTensor, 'dtype'>): number {
  return arrayTypes[dtype].BYTES_PER_ELEMENT;
}

function checkTensor(name: string, { dtype, shape, data }: NamedTensor): void {
  if (name === metadataKey) throw new ShapeError(`safetensors: a tensor can't be called ${metadataKey}`);
  const arrayType = arrayTypes[dtype] as TensorArrayType | undefined;
  if (!arrayType)
    throw new ShapeError(`safetensors "${name}": unknown dtype "${dtype}". Choose one of: ${dtypeList()}.`);
  if (!(data instanceof arrayType))
    throw new ShapeError(
      `safetensors "${name}": dtype ${dtype} needs a ${arrayType.name}, got ${data.constructor.name}`,
    );
  if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0))
    throw new ShapeError(`safetensors "${name}": shape [${shape}] must hold integers of at least 0`);
  const count = shape.reduce((product, extent) => product * extent, 1);
  if (count !== data.length)
    throw new ShapeError(`safetensors "${name}": shape [${shape}] means ${count} values, but data has ${data.length}`);
}

/**
 * Reads a safetensors file. Nothing is allocated for a tensor before its dtype, shape and place have been checked, and
 * the tensors must cover the data part exactly, without gaps or overlap, as the format asks.
 *
 * @param bytes the whole file
 * @returns     tensors in the order of their data, which are views into `bytes` where the alignment allows it and copies
 *              elsewhere, and the metadata
 * @throws FormatError that says what was found where
 */
export function decodeSafetensors(bytes: Uint8Array): {
  tensors: Map<string, NamedTensor>;
  metadata: Record<string, string>;
} {
  const { header, dataStart } = readHeader(bytes);
  const dataLength = bytes.length - dataStart;
  const metadata: Record<string, string> = {};
  const entries: { name: string; entry: HeaderEntry }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === metadataKey) Object.assign(metadata, readMetadata(value));
    else entries.push({ name, entry: readEntry(name, value, dataLength) });
  }
  entries.sort((a, b) => a.entry.begin - b.entry.begin || a.entry.end - b.entry.end);

  const tensors = new Map<string, NamedTensor>();
  let covered = 0;
  for (const { name, entry } of entries) {
    if (entry.begin !== covered)
      throw new FormatError(
        `safetensors ${quoted(name)}: data starts at ${entry.begin}, but the tensor before ends at ${covered}; ` +
          (entry.begin < covered ? 'tensors overlap' : 'there is a gap'),
      );
    covered = entry.end;
    const { dtype, shape } = entry;
    tensors.set(name, { dtype, shape, data: viewOrCopy(bytes, dataStart + entry.begin, dtype, entry.count) });
  }
  if (covered !== dataLength)
    throw new FormatError(
      `safetensors: the header describes ${covered} bytes of data, but the file has ${dataLength} after the header`,
    );
  return { tensors, metadata };
}

function readHeader(bytes: Uint8Array): { header: object; dataStart: number } {
  if (bytes.length < 8)
    throw new FormatError(`safetensors: a file has at least 8 bytes of header length, found ${bytes.length} bytes`);
  const declared = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(longestHeader))
    throw new FormatError(
      `safetensors: header length at byte 0 is ${declared}, the format's limit is ${longestHeader}; not a safetensors file?`,
    );
  const headerLength = Number(declared);
  if (8 + headerLength > bytes.length)
    throw new FormatError(
      `safetensors: a header of ${headerLength} bytes should follow byte 8, and ${bytes.length - 8} remain; truncated?`,
    );
  let header: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + headerLength));
    header = JSON.parse(text);
  } catch (error) {
    throw new FormatError(`safetensors: the header (${headerLength} bytes from byte 8) is not JSON: ${String(error)}`);
  }
  if (!isObject(header)) throw new FormatError('safetensors: the header is not a JSON object');
  return { header, dataStart: 8 + headerLength };
}

interface HeaderEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  /** values, the product of `shape` */
  count: number;
  /** first byte in the data part, and the one behind the last */
  begin: number;
  end: number;
}

function readEntry(name: string, value: unknown, dataLength: number): HeaderEntry {
  const place = `safetensors ${quoted(name)}`;
  if (!isObject(value)) throw new FormatError(`${place}: the header entry is not an object, but ${shown(value)}`);
  const { dtype, shape, data_offsets: offsets } = value as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  if (typeof dtype !== 'string' || !Object.hasOwn(arrayTypes, dtype))
    throw new FormatError(`${place}: dtype ${shown(dtype)} is not supported. Supported: ${dtypeList()}.`);
  if (!isListOfCounts(shape))
    throw new FormatError(`${place}: shape ${shown(shape)} is not a list of integers of at least 0`);
  if (!isListOfCounts(offsets) || offsets.length !== 2)
    throw new FormatError(`${place}: data_offsets ${shown(offsets)} is not a pair of integers of at least 0`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataLength)
    throw new FormatError(
      `${place}: data_offsets [${begin}, ${end}] lie outside the ${dataLength} bytes of data; truncated?`,
    );
  const count = shape.reduce((product, extent) => product * extent, 1);
  if (shape.length > mostDimensions || !shape.every(Number.isSafeInteger) || !Number.isSafeInteger(count))
    throw new FormatError(`${place}: shape ${shown(shape)} is beyond all bounds`);
  const expected = count * arrayTypes[dtype as SafetensorsDtype].BYTES_PER_ELEMENT;
  if (expected !== end - begin)
    throw new FormatError(
      `${place}: ${dtype} of shape ${shown(shape)} takes ${expected} bytes, but data_offsets [${begin}, ${end}] hold ${end - begin}`,
    );
  return { dtype: dtype as SafetensorsDtype, shape, count, begin, end };
}

function readMetadata(value: unknown): Record<string, string> {
  if (!isObject(value) || !Object.values(value).every((text) => typeof text === 'string'))
    throw new FormatError(`safetensors: ${metadataKey} must map text to text`);
  return value as Record<string, string>;
}

function viewOrCopy(bytes: Uint8Array, start: number, dtype: SafetensorsDtype, count: number): TensorArray {
  const arrayType = arrayTypes[dtype];
  const position = bytes.byteOffset + start;
  if (position % arrayType.BYTES_PER_ELEMENT === 0) return new arrayType(bytes.buffer, position, count);
  const copy = new arrayType(count);
  new Uint8Array(copy.buffer).set(bytes.subarray(start, start + copy.byteLength));
  return copy;
}

const quoted = (name: string): string => `"${name.slice(0, 120)}"`;

/** A value of the header for a message: lists of numbers as they begin, and nothing of what may be deep. */
function shown(value: unknown): string {
  if (Array.isArray(value)) {
    const isShown = value.length <= 16 && value.every((each) => typeof each !== 'object');
    return isShown ? `[${value.map((each) => shown(each)).join(', ')}]` : `a list of ${value.length}`;
  }
  return isObject(value) ? 'an object' : String(JSON.stringify(value)).slice(0, 80);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isListOfCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry) && (entry as number) >= 0);
}

function dtypeList(): string {
  return Object.keys(arrayTypes).join(', ');
}
