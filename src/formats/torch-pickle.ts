import { FormatError } from '../errors.ts';
import type { SafetensorsDtype } from './safetensors.ts';
import { kindOf, longestPickle } from './pickle.ts';
import type { PickleGlobal, Stateful } from './pickle.ts';

/*
 * The names that pickles of PyTorch checkpoints may ask for, and what stands for them here: plain records. No name means
 * anything but the record it makes.
 */

/** A block of numbers that tensors look into. Its bytes may be handed in after the pickle has been read. */
export class TorchStorage {
  /** Little-endian values; undefined until they are found. */
  bytes: Uint8Array | undefined;

  constructor(
    readonly dtype: SafetensorsDtype,
    /** Number of values. */
    readonly length: number,
    readonly key: string,
  ) {}
}

/** A view of a storage, as PyTorch records it. Nothing has been checked against the storage. */
export class TorchTensor implements Stateful {
  constructor(
    readonly storage: TorchStorage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}

  /** Attributes that a program gave to the tensor; none matters. */
  setState(): void {}
}

/** An object of a class that is kept as its name and attributes, such as a module of a network. */
export class PickledObject implements Stateful {
  /** Attributes by name. */
  attributes: ReadonlyMap<unknown, unknown> = new Map();

  constructor(readonly className: string) {}

  setState(state: unknown): void {
    this.attributes = mapOf(state, `the state of ${this.className}`);
  }
}

/** A numpy element type. */
class NumpyType implements Stateful {
  order = '<';

  constructor(readonly code: string) {}

  /** (version, byte order, ...), the rest is for records */
  setState(state: unknown): void {
    const order = Array.isArray(state) ? (state[1] as unknown) : undefined;
    if (order !== '<' && order !== '|' && order !== '=')
      throw new FormatError(`byte order ${kindOf(order)}, little-endian is read`);
    this.order = order;
  }
}

/** A numpy array; its values stay bytes. */
export class NumpyArray implements Stateful {
  private isFilled = false;
  shape: readonly number[] = [];
  code = '';
  bytes: Uint8Array = new Uint8Array();

  /** (version, shape, type, Fortran order, bytes) */
  setState(state: unknown): void {
    // Each state is copied: a few bytes of a pickle could ask for it again and again.
    if (this.isFilled) throw new FormatError('an array is given a state for the second time');
    this.isFilled = true;
    const [, shape, type, fortran, content] = listOf(state, 'the state of an array');
    // Python 2 keeps bytes as text, as the archives of CIFAR-10 have them.
    const bytes = typeof content === 'string' ? bytesOf(content) : content;
    if (!(type instanceof NumpyType) || !(bytes instanceof Uint8Array) || fortran !== false)
      throw new FormatError('only arrays of numbers in C order are read');
    this.shape = countsOf(shape, 'shape');
    this.code = type.code;
    this.bytes = bytes;
    const { size } = numpyTypes[type.code];
    if (product(this.shape) * size !== bytes.length)
      throw new FormatError(`shape [${this.shape.join(', ')}] of ${type.code} does not take ${bytes.length} bytes`);
  }
}

const numpyTypes: Readonly<Record<string, { size: number; read: (view: DataView) => number | boolean | bigint }>> = {
  f8: { size: 8, read: (view) => view.getFloat64(0, true) },
  f4: { size: 4, read: (view) => view.getFloat32(0, true) },
  i8: { size: 8, read: (view) => numberIfExact(view.getBigInt64(0, true)) },
  u8: { size: 8, read: (view) => numberIfExact(view.getBigUint64(0, true)) },
  i4: { size: 4, read: (view) => view.getInt32(0, true) },
  u4: { size: 4, read: (view) => view.getUint32(0, true) },
  i2: { size: 2, read: (view) => view.getInt16(0, true) },
  u2: { size: 2, read: (view) => view.getUint16(0, true) },
  i1: { size: 1, read: (view) => view.getInt8(0) },
  u1: { size: 1, read: (view) => view.getUint8(0) },
  b1: { size: 1, read: (view) => view.getUint8(0) !== 0 },
};

const numberIfExact = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

/** Element types by the class of a storage. */
const storageTypes: Readonly<Record<string, SafetensorsDtype>> = {
  FloatStorage: 'F32',
  DoubleStorage: 'F64',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** Modules of PyTorch that official networks are made of beside their own classes. */
const plainModules = [
  ...['container.ModuleDict', 'container.ModuleList', 'container.Sequential', 'container.ParameterList'],
  ...['linear.Linear', 'linear.Identity', 'conv.Conv2d', 'normalization.GroupNorm', 'normalization.LayerNorm'],
  ...['activation.SiLU', 'activation.ReLU', 'dropout.Dropout', 'sparse.Embedding'],
].map((name) => `torch.nn.modules.${name}`);

/** What a value must be to be used as a dict. */
export function mapOf(value: unknown, what: string): ReadonlyMap<unknown, unknown> {
  if (!(value instanceof Map)) throw new FormatError(`${what} must be a dict, got ${kindOf(value)}`);
  return value;
}

/** What a value must be to be used as a list. */
export function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new FormatError(`${what} must be a list, got ${kindOf(value)}`);
  return value;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function countOf(value: unknown, what: string): number {
  if (!isCount(value)) throw new FormatError(`${what} must be an integer of at least 0, got ${kindOf(value)}`);
  return value;
}

function countsOf(value: unknown, what: string): readonly number[] {
  const list = listOf(value, what);
  if (list.length > 32) throw new FormatError(`${what} has ${list.length} dimensions, at most 32 are read`);
  return list.map((each) => countOf(each, what));
}

const product = (factors: readonly number[]): number => factors.reduce((result, factor) => result * factor, 1);

/**
 * The storage that a persistent id stands for: ("storage", class, key, device, number of values, view).
 *
 * @param known  storages by key: each is made once
 */
export function storageOf(id: unknown, known: Map<string, TorchStorage>): TorchStorage {
  const [what, type, key, , length, view = null] = listOf(id, 'a persistent id');
  const dtype = storageTypes[String((type as PickleGlobal | null | undefined)?.name).replace(/^torch\./, '')] as
    SafetensorsDtype | undefined;
  if (what !== 'storage' || dtype === undefined || typeof key !== 'string')
    throw new FormatError(
      `must be ("storage", type, key, device, length), got ${kindOf(what)}, ${kindOf(type)}, ${kindOf(key)}`,
    );
  if (view !== null)
    throw new FormatError(`storage ${JSON.stringify(key.slice(0, 40))} is a view of another, which is not read`);
  const count = countOf(length, 'the length of a storage');
  const found = known.get(key);
  if (!found) {
    const storage = new TorchStorage(dtype, count, key);
    known.set(key, storage);
    return storage;
  }
  if (found.dtype !== dtype || found.length !== count)
    throw new FormatError(`storage ${JSON.stringify(key.slice(0, 40))} is named with two types or lengths`);
  return found;
}

/**
 * The list of names.
 *
 * @param loadFromBytes  reads the complete file that a storage is kept as inside a plain pickle; left out: refused
 */
export function torchGlobals(loadFromBytes?: (bytes: Uint8Array) => unknown): ReadonlyMap<string, PickleGlobal> {
  const encoded = new Map<string, Uint8Array>();
  // A few bytes of a pickle can ask for a copy of a long list again and again.
  let copied = 0;
  const copying = <T>(values: readonly T[]): readonly T[] => {
    copied += values.length;
    if (copied > longestPickle) throw new FormatError(`more than ${longestPickle} values are copied`);
    return values;
  };
  const list: PickleGlobal[] = [];
  const on = (names: string | readonly string[], rest: Omit<PickleGlobal, 'name'>): void => {
    for (const name of [names].flat()) list.push({ name, ...rest });
  };
  const builtin = (name: string): string[] => [`builtins.${name}`, `__builtin__.${name}`];

  on(['collections.OrderedDict', 'dnnlib.util.EasyDict', ...builtin('dict')], {
    call: ([items = []]) =>
      new Map(pairsOf(copying(items instanceof Map ? [...(items as Map<unknown, unknown>)] : listOf(items, 'items')))),
  });
  on(builtin('set'), { call: ([values = []]) => new Set(atoms(copying(listOf(values, 'members')))) });
  on(builtin('frozenset'), { call: ([values = []]) => new Set(atoms(copying(listOf(values, 'members')))) });
  for (const name of ['list', 'tuple']) {
    on(builtin(name), { call: ([values = []]) => [...copying(listOf(values, name))] });
  }
  on('torch.Size', { call: ([values = []]) => [...copying(listOf(values, 'torch.Size'))] });
  on([...builtin('object'), 'torch.device'], { call: () => null });
  on(['copy_reg._reconstructor', 'copyreg._reconstructor'], {
    call: ([type, base, state]) => {
      const { create, call } = (type ?? {}) as PickleGlobal;
      if (!/^(builtins|__builtin__)\.object$/.test(String((base as PickleGlobal | null)?.name)) || state !== null)
        throw new FormatError('only objects of plain classes are read');
      return (create ?? call)?.([]) ?? null;
    },
  });
  // Bytes that protocol 2 keeps as text. The same text gives the same bytes: repeating it costs nothing.
  on('_codecs.encode', {
    call: ([text, encoding]) => {
      if (typeof text !== 'string' || encoding !== 'latin1') throw new FormatError('only text as latin1 is read');
      const bytes = encoded.get(text) ?? bytesOf(text);
      encoded.set(text, bytes);
      return bytes;
    },
  });

  on('numpy.dtype', {
    call: ([code]) => {
      const plain = String(code).replace(/^[<|=]/, '');
      if (typeof code !== 'string' || !Object.hasOwn(numpyTypes, plain))
        throw new FormatError(`type ${kindOf(code)} is not read. Read are: ${Object.keys(numpyTypes).join(', ')}`);
      return new NumpyType(plain);
    },
  });
  for (const core of ['numpy.core.multiarray', 'numpy._core.multiarray']) {
    on(`${core}.scalar`, {
      call: ([type, bytes]) => {
        if (
          !(type instanceof NumpyType) ||
          !(bytes instanceof Uint8Array) ||
          bytes.length !== numpyTypes[type.code].size
        )
          throw new FormatError(`a number of ${kindOf(type)} in ${kindOf(bytes)} of a wrong length`);
        return numpyTypes[type.code].read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
      },
    });
    on(`${core}._reconstruct`, { call: () => new NumpyArray() });
  }
  on('numpy.ndarray', {});

  for (const name of Object.keys(storageTypes)) on(`torch.${name}`, {});
  for (const name of ['float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'uint8', 'bool'])
    on(`torch.${name}`, {});
  if (loadFromBytes) {
    const loaded = new WeakMap<Uint8Array, { value: unknown }>();
    on('torch.storage._load_from_bytes', {
      call: ([bytes]) => {
        if (!(bytes instanceof Uint8Array)) throw new FormatError(`bytes are needed, got ${kindOf(bytes)}`);
        const result = loaded.get(bytes) ?? { value: loadFromBytes(bytes) };
        loaded.set(bytes, result);
        return result.value;
      },
    });
  }
  on(['torch._utils._rebuild_tensor', 'torch._utils._rebuild_tensor_v2'], {
    call: ([storage, offset, shape, strides]) => {
      if (!(storage instanceof TorchStorage)) throw new FormatError(`a storage is needed, got ${kindOf(storage)}`);
      const tensor = new TorchTensor(
        storage,
        countOf(offset, 'the offset'),
        countsOf(shape, 'the shape'),
        countsOf(strides, 'the strides'),
      );
      if (tensor.shape.length !== tensor.strides.length)
        throw new FormatError(`${tensor.shape.length} dimensions, but ${tensor.strides.length} strides`);
      return tensor;
    },
  });
  on(['torch._utils._rebuild_parameter', 'torch._utils._rebuild_parameter_with_state'], {
    call: ([tensor]) => {
      if (!(tensor instanceof TorchTensor)) throw new FormatError(`a tensor is needed, got ${kindOf(tensor)}`);
      return tensor;
    },
  });
  for (const name of plainModules) on(name, { create: () => new PickledObject(name) });
  // Objects of EDM: the source text that comes with them is passed over.
  on('torch_utils.persistence._reconstruct_persistent_obj', {
    call: ([meta]) => {
      const fields = mapOf(meta, 'its argument');
      const name = fields.get('class_name');
      if (fields.get('type') !== 'class' || typeof name !== 'string')
        throw new FormatError(`must describe a class, got ${kindOf(fields.get('type'))} called ${kindOf(name)}`);
      const object = new PickledObject(name);
      object.setState(fields.get('state'));
      return object;
    },
  });
  return new Map(list.map((each) => [each.name, each]));
}

/** Key and value of each item that a dict is made of. */
function pairsOf(items: readonly unknown[]): [unknown, unknown][] {
  return items.map((item) => {
    const pair = listOf(item, 'an item');
    if (pair.length !== 2 || (typeof pair[0] === 'object' && pair[0] !== null))
      throw new FormatError('an item must be a key, which is a text or a number, and a value');
    return [pair[0], pair[1]];
  });
}

/** Members of a set: texts and numbers. */
function atoms(values: readonly unknown[]): readonly unknown[] {
  if (values.some((value) => typeof value === 'object' && value !== null))
    throw new FormatError('members must be texts and numbers');
  return values;
}

/** One byte a character. */
function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) throw new FormatError(`character ${code} is not in Latin-1`);
    bytes[i] = code;
  }
  return bytes;
}
