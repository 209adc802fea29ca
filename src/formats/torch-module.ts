import { FormatError } from '../errors.ts';
import { kindOf } from './pickle.ts';
import type { NamedTensor } from './safetensors.ts';
import { readTorch, tensorReader } from './torch.ts';
import { mapOf, PickledObject, TorchTensor } from './torch-pickle.ts';

/*
 * What the official programs of EDM and STF leave behind: network-snapshot-*.pkl, a dict with the module `ema`, and
 * training-state-*.pkl or .pt, a dict with `net`, `optimizer_state`, and for STF `ema` and `step`. Source:
 * torch.nn.Module.__setstate__ and state_dict of PyTorch 1.13, torch_utils/persistence.py of Karras et al. 2022.
 */

/** A network as PyTorch kept it. */
export interface TorchNetwork {
  /** Class of the outermost module, such as `EDMPrecond`. */
  readonly constructor: string;
  /** The arguments it was made with. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** The state dict: parameters and persistent buffers by name, in the order of PyTorch. */
  readonly state: ReadonlyMap<string, NamedTensor>;
  /** Names of the parameters in the order of `named_parameters()`, which is that of the optimiser's state. */
  readonly parameters: readonly string[];
}

/** The state of Adam, by parameter name. */
export interface TorchAdam {
  /** Steps taken; 0 before the first. */
  readonly step: number;
  readonly firstMoments: ReadonlyMap<string, NamedTensor>;
  readonly secondMoments: ReadonlyMap<string, NamedTensor>;
  /** Plain settings of the only parameter group: `lr`, `betas`, `eps`, ... */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** What was found in a file; at least one of `ema`, `net` and `state` is there. */
export interface TorchCheckpoint {
  readonly ema?: TorchNetwork;
  readonly net?: TorchNetwork;
  /** A state dict without a network's configuration. */
  readonly state?: ReadonlyMap<string, NamedTensor>;
  readonly optimizer?: TorchAdam;
  /** The field `step` of STF: images seen. */
  readonly step?: number;
  /** What the network was trained on, as a snapshot tells. */
  readonly dataset?: Readonly<Record<string, unknown>>;
}

/** Modules and tensors of a network, in all and inside each other, the same one counted as often as it is named. */
const mostModules = 100_000;
const deepestModule = 100;
/** Characters of a tensor's name with those of its modules. */
const longestName = 1000;

/**
 * Reads a checkpoint of EDM or STF, or a state dict of any network. No code of the file is run.
 *
 * @param bytes  a network snapshot (.pkl), a training state (.pkl, .pt) or a state dict (.pt, .pth)
 * @throws FormatError when the bytes are damaged or something else, saying what was found where
 */
export function readTorchCheckpoint(bytes: Uint8Array): TorchCheckpoint {
  const value = readTorch(bytes);
  const read = tensorReader();
  if (value instanceof PickledObject) return { net: networkOf(value, 'the object', read) };
  const fields = mapOf(value, 'the object of the file');
  const network = (name: string): TorchNetwork | undefined => {
    const module = fields.get(name);
    return module instanceof PickledObject ? networkOf(module, name, read) : undefined;
  };
  const [ema, net] = [network('ema'), network('net')];
  const known = net ?? ema;
  if (!known) return { state: stateDictOf(stateDictIn(fields), read) };
  const optimizer = fields.get('optimizer_state');
  const step = fields.get('step');
  const dataset = fields.get('dataset_kwargs');
  return {
    ...(ema && { ema }),
    ...(net && { net }),
    ...(optimizer != null && { optimizer: adamOf(mapOf(optimizer, '"optimizer_state"'), known, read) }),
    ...(typeof step === 'number' && Number.isSafeInteger(step) && step >= 0 && { step }),
    ...(dataset instanceof Map && { dataset: plainRecord(dataset, '"dataset_kwargs"') }),
  };
}

type Read = (tensor: TorchTensor, name: string) => NamedTensor;

/** Where programs keep the state dict of a network beside other things; the moving average is the better one. */
const stateDictNames = ['ema', 'net', 'model', 'state_dict'];

/** The state dict inside a dict, or the dict itself. */
function stateDictIn(fields: ReadonlyMap<unknown, unknown>): ReadonlyMap<unknown, unknown> {
  const inner = stateDictNames.map((name) => fields.get(name)).find((value) => value instanceof Map);
  return inner ?? fields;
}

/** A dict whose values are tensors. */
function stateDictOf(dict: ReadonlyMap<unknown, unknown>, read: Read): ReadonlyMap<string, NamedTensor> {
  const state = new Map<string, NamedTensor>();
  for (const [name, tensor] of dict) {
    if (typeof name !== 'string' || !(tensor instanceof TorchTensor)) {
      throw new FormatError(
        `neither a network nor a state dict: ${kindOf(name)} is ${kindOf(tensor)}. Networks are looked for under "ema" and "net", state dicts also under "model" and "state_dict".`,
      );
    }
    state.set(name, read(tensor, name));
  }
  if (state.size === 0) throw new FormatError('the object of the file is an empty dict');
  return state;
}

function networkOf(module: PickledObject, what: string, read: Read): TorchNetwork {
  const state = new Map<string, NamedTensor>();
  const parameters: string[] = [];
  const seen = new Set<TorchTensor>();
  let modules = 0;
  const visit = (each: PickledObject, prefix: string, depth: number): void => {
    if (++modules > mostModules || depth > deepestModule)
      throw new FormatError(
        `${what}: more than ${mostModules} modules, or more than ${deepestModule} inside each other`,
      );
    const part = (name: string): ReadonlyMap<unknown, unknown> => {
      const found = each.attributes.get(name);
      if (found === undefined) throw new FormatError(`${what}: ${each.className} is no module: it has no ${name}`);
      return mapOf(found, `${what}: ${prefix}${name}`);
    };
    const passing = each.attributes.get('_non_persistent_buffers_set');
    for (const [group, isParameter] of [
      ['_parameters', true],
      ['_buffers', false],
    ] as const) {
      for (const [name, tensor] of part(group)) {
        if (tensor === null || (!isParameter && passing instanceof Set && passing.has(name))) continue;
        const full = `${prefix}${String(name)}`;
        if (++modules > mostModules || full.length > longestName)
          throw new FormatError(
            `${what}: more than ${mostModules} tensors, or a name of more than ${longestName} characters`,
          );
        if (!(tensor instanceof TorchTensor))
          throw new FormatError(`${what}: "${full}" is ${kindOf(tensor)}, not a tensor`);
        state.set(full, read(tensor, full));
        // A tensor that is shared has one place in the optimiser.
        if (isParameter && !seen.has(tensor)) parameters.push(full);
        seen.add(tensor);
      }
    }
    for (const [name, child] of part('_modules')) {
      if (child === null) continue;
      if (!(child instanceof PickledObject))
        throw new FormatError(`${what}: "${prefix}${String(name)}" is ${kindOf(child)}, not a module`);
      visit(child, `${prefix}${String(name)}.`.slice(0, longestName + 1), depth + 1);
    }
  };
  visit(module, '', 0);
  const args = module.attributes.get('_init_args');
  if (Array.isArray(args) && args.length > 0)
    throw new FormatError(`${what}: ${module.className} was made with ${args.length} arguments without names`);
  const kwargs = module.attributes.get('_init_kwargs') ?? new Map<unknown, unknown>();
  return {
    constructor: module.className,
    kwargs: plainRecord(mapOf(kwargs, `${what}: _init_kwargs`), `${what}: _init_kwargs`),
    state,
    parameters,
  };
}

/** optimizer.state_dict() of Adam with one group: moments by number of the parameter. */
function adamOf(dict: ReadonlyMap<unknown, unknown>, network: TorchNetwork, read: Read): TorchAdam {
  const groups = dict.get('param_groups');
  const group = Array.isArray(groups) && groups.length === 1 ? (groups[0] as unknown) : undefined;
  if (!(group instanceof Map)) throw new FormatError('"optimizer_state" must have one group of parameters');
  const order: unknown = group.get('params');
  if (!Array.isArray(order) || order.length !== network.parameters.length) {
    const found = Array.isArray(order) ? order.length : 0;
    throw new FormatError(`"optimizer_state" is for ${found} parameters, the network has ${network.parameters.length}`);
  }
  const firstMoments = new Map<string, NamedTensor>();
  const secondMoments = new Map<string, NamedTensor>();
  let step = 0;
  const states = mapOf(dict.get('state'), 'the state in "optimizer_state"');
  network.parameters.forEach((name, i) => {
    const own = states.get(order[i]);
    if (own === undefined) return;
    const entry = mapOf(own, `the state of ${name}`);
    const moment = (key: string): NamedTensor => {
      const tensor = entry.get(key);
      if (!(tensor instanceof TorchTensor))
        throw new FormatError(`"${key}" of ${name} is ${kindOf(tensor)}; only Adam is read`);
      return read(tensor, `${key} of ${name}`);
    };
    firstMoments.set(name, moment('exp_avg'));
    secondMoments.set(name, moment('exp_avg_sq'));
    const taken = entry.get('step');
    const count = taken instanceof TorchTensor ? Number(read(taken, `step of ${name}`).data[0]) : taken;
    if (!Number.isSafeInteger(count)) throw new FormatError(`"step" of ${name} is ${kindOf(count)}, not an integer`);
    step = Math.max(step, count as number);
  });
  const settings = plainRecord(new Map([...group].filter(([key]) => key !== 'params')), '"param_groups"');
  return { step, firstMoments, secondMoments, settings };
}

/** Arguments lie no deeper than this, and are so many values at most, the same one counted as often as it is named. */
const deepestArgument = 4;
const mostArguments = 100_000;

/** A dict of texts, numbers, and lists and dicts of them, as plain data. */
function plainRecord(dict: ReadonlyMap<unknown, unknown>, what: string): Record<string, unknown> {
  const plain = plainReader();
  return Object.fromEntries(
    [...dict].map(([key, value]) => [
      String(key),
      plain(value, `${what}: ${String(key).slice(0, 80)}`, deepestArgument),
    ]),
  );
}

function plainReader(): (value: unknown, what: string, depth: number) => unknown {
  let count = 0;
  const plain = (value: unknown, what: string, depth: number): unknown => {
    if (++count > mostArguments) throw new FormatError(`${what}: more than ${mostArguments} values`);
    if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return value;
    if (depth > 0 && Array.isArray(value) && value.length <= 1000)
      return value.map((each) => plain(each, what, depth - 1));
    if (depth > 0 && value instanceof Map && value.size <= 1000)
      return Object.fromEntries([...value].map(([key, each]) => [String(key), plain(each, what, depth - 1)]));
    throw new FormatError(`${what} is ${kindOf(value)}, not plain data`);
  };
  return plain;
}
