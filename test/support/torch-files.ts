import { zipSync } from 'fflate';
import type { NamedTensor } from '../../src/formats/safetensors.ts';

/*
 * Writes state dicts as torch.save does, in the text form of pickles: an independent hand for what our reader must take.
 */

const storages: Readonly<Record<string, string>> = {
  F32: 'FloatStorage',
  F64: 'DoubleStorage',
  F16: 'HalfStorage',
  BF16: 'BFloat16Storage',
  I64: 'LongStorage',
};

const bytesOf = ({ data }: NamedTensor): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const text = (characters: string): Uint8Array => Uint8Array.from(characters, (character) => character.charCodeAt(0));
const tuple = (values: readonly number[]): string => `(${values.map((value) => `I${value}\n`).join('')}t`;

/** A dict of tensors; every one has a storage of its own, whose key is its number. */
function dictOf(state: ReadonlyMap<string, NamedTensor>): string {
  const items = [...state].map(([name, { dtype, shape, data }], key) => {
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, extent) => product * extent, 1));
    const storage = `(S'storage'\nctorch\n${storages[dtype]}\nS'${key}'\nS'cpu'\nI${data.length}\nNtQ`;
    return `S'${name}'\nctorch._utils\n_rebuild_tensor_v2\n(${storage}I0\n${tuple(shape)}${tuple(strides)}I00\nccollections\nOrderedDict\n)RtRs`;
  });
  return `(d${items.join('')}`;
}

/** `torch.save(state)` as a zip archive; `within` puts the state dict under that name of a dict. */
export function torchZip(state: ReadonlyMap<string, NamedTensor>, within?: string): Uint8Array {
  const dict = within === undefined ? `${dictOf(state)}.` : `(dS'epoch'\nI3\nsS'${within}'\n${dictOf(state)}s.`;
  const values = [...state.values()].map((tensor, key) => [`archive/data/${key}`, bytesOf(tensor)] as const);
  // torch.load does not read the persistent id's sixth element in archives.
  const pickle = text(dict.replaceAll('NtQ', 'tQ'));
  return zipSync({ 'archive/data.pkl': pickle, ...Object.fromEntries(values) }, { level: 0 });
}

/** `torch.save(state)` in the form before PyTorch 1.6. */
export function torchLegacy(state: ReadonlyMap<string, NamedTensor>): Uint8Array {
  const magic = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
  const keys = [...state.keys()].map((_, key) => `S'${key}'\na`).join('');
  const parts = [
    Uint8Array.from(magic),
    text('I1001\n.'),
    text(`(dS'protocol_version'\nI1001\nsS'little_endian'\nI01\ns.`),
    text(`${dictOf(state)}.`),
    text(`(l${keys}.`),
    ...[...state.values()].flatMap((tensor) => {
      const length = new DataView(new ArrayBuffer(8));
      length.setBigInt64(0, BigInt(tensor.data.length), true);
      return [new Uint8Array(length.buffer), bytesOf(tensor)];
    }),
  ];
  return Uint8Array.from(Buffer.concat(parts));
}
