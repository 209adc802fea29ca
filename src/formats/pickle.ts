import { FormatError } from '../errors.ts';

/*
 * A reader of Python pickles, protocols 0 to 5, that never runs anything: a pickle is a program for a stack machine, and
 * this machine knows data and the constructors it is handed, nothing else. Source: PEP 307, PEP 3154, PEP 574 and the
 * opcode documentation in CPython's pickletools.
 *
 *   Python                          here
 *   None, bool, float, str          null, boolean, number, string
 *   int                             number, bigint where a number is not exact
 *   bytes, bytearray                Uint8Array
 *   list, tuple                     array
 *   dict                            Map, whose keys are strings, numbers, bigints, booleans or null
 *   set, frozenset                  Set
 */

/** A class or function that a pickle may name, and what stands for its results here. */
export interface PickleGlobal {
  /** `module.name` */
  readonly name: string;
  /** What a call with these arguments gives; left out: it can't be called. */
  readonly call?: (args: readonly unknown[]) => unknown;
  /** A new object of the class, for those that are made without a call; left out: `call` does. */
  readonly create?: (args: readonly unknown[]) => unknown;
}

/** An object that can be given a state after it was made (opcode BUILD). */
export interface Stateful {
  setState(state: unknown): void;
}

export interface UnpickleOptions {
  /** What the pickle may name, by `module.name`. Anything else is refused. */
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  /** Resolves a persistent id, a reference to something outside of the pickle; left out: refused. */
  readonly persistent?: (id: unknown) => unknown;
  /** Where the pickle begins in the bytes. */
  readonly start?: number;
  /** What it is, for messages: `data.pkl`. */
  readonly source?: string;
}

/** Containers inside each other. Networks of PyTorch need about fifty. */
export const deepestPickle = 1000;

/** Operations of one pickle: each makes at most one object, which bounds the memory. The largest networks need 300 000. */
export const longestPickle = 2 ** 21;

/** Bytes of one integer; longer ones take quadratic time. */
const longestInteger = 1024;

/** Characters of a text line of protocol 0 that is no string. */
const longestLine = 4096;

/**
 * Reads one pickle.
 *
 * @param bytes  the pickle, and perhaps something behind it
 * @returns      the value, and the place behind the pickle
 * @throws FormatError that says what was found at which byte: for anything damaged, for a name that is not on the list,
 *                     for lengths beyond the bytes that remain, and beyond the bounds above
 */
export function unpickle(bytes: Uint8Array, options: UnpickleOptions): { value: unknown; end: number } {
  return new Machine(bytes, options).run();
}

/** Whether bytes begin with an operation of a pickle: most files of other kinds do not. */
export const beginsPickle = (bytes: Uint8Array): boolean => operations[bytes[0]] !== undefined;

/** What a value is, for messages, without looking inside. */
export function kindOf(value: unknown): string {
  if (value === null) return 'None';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Map) return 'a dict';
  if (value instanceof Set) return 'a set';
  if (value instanceof Uint8Array) return 'bytes';
  if (typeof value === 'string') return `the text ${JSON.stringify(value.slice(0, 60))}`;
  if (typeof value === 'object')
    return 'name' in value ? `the name ${String(value.name)}` : `a ${value.constructor.name}`;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return `the ${typeof value} ${String(value).slice(0, 40)}`;
  return 'nothing';
}

class Machine {
  private readonly view: DataView;
  private position: number;
  /** Start of the operation at hand. */
  private at: number;
  private operations = 0;
  private stack: unknown[] = [];
  /** The stacks below the marks. */
  private readonly below: unknown[][] = [];
  private readonly memo = new Map<number, unknown>();
  /** How deep a container is: one more than the deepest in it when it was put in. */
  private readonly depths = new WeakMap<object, number>();
  private readonly source: string;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly options: UnpickleOptions,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = this.position = options.start ?? 0;
    this.source = options.source ?? 'pickle';
  }

  run(): { value: unknown; end: number } {
    for (;;) {
      this.at = this.position;
      if (++this.operations > longestPickle) this.fail(`more than ${longestPickle} operations`);
      const code = this.byte();
      const operation = operations[code] as ((machine: Machine) => void) | undefined;
      if (operation) operation(this);
      else if (code === stop) return { value: this.pop(), end: this.position };
      else this.fail(`unknown operation ${hex(code)}; not a pickle, or damaged?`);
    }
  }

  fail(what: string): never {
    throw new FormatError(`${this.source}: at byte ${this.at}: ${what}`);
  }

  // What the bytes hold.

  byte(): number {
    return this.take(1)[0];
  }

  /** The next bytes, as a view. Lengths are checked before anything is made. */
  take(length: number | bigint): Uint8Array {
    const remain = this.bytes.length - this.position;
    if (length > remain || length < 0) {
      const end = remain === 1 ? '1 byte remains' : `${remain} bytes remain`;
      this.fail(`${length} bytes should follow, but ${end}; truncated or damaged?`);
    }
    const start = this.position;
    this.position += Number(length);
    return this.bytes.subarray(start, this.position);
  }

  uint16(): number {
    this.take(2);
    return this.view.getUint16(this.position - 2, true);
  }

  int32(): number {
    this.take(4);
    return this.view.getInt32(this.position - 4, true);
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  uint64(): bigint {
    this.take(8);
    return this.view.getBigUint64(this.position - 8, true);
  }

  float64(): number {
    this.take(8);
    return this.view.getFloat64(this.position - 8, false);
  }

  /** Text up to the next line feed, without it. */
  line(longest = longestLine): string {
    const end = this.bytes.indexOf(10, this.position);
    if (end < 0) this.fail('a line should follow, but none ends; truncated?');
    if (end - this.position > longest) this.fail(`a line of ${end - this.position} bytes, at most ${longest} are read`);
    const text = latin1(this.take(end - this.position));
    this.position += 1;
    return text;
  }

  utf8(bytes: Uint8Array): string {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      return this.fail(`a text of ${bytes.length} bytes is not UTF-8`);
    }
  }

  /** A whole number in decimal digits. */
  integer(text: string): number | bigint {
    if (!/^[+-]?\d+$/.test(text) || text.length > longestInteger)
      this.fail(`${JSON.stringify(text.slice(0, 60))} is no integer`);
    return exact(BigInt(text.replace(/^\+/, '')));
  }

  /** A whole number in two's complement, lowest byte first. */
  long(length: number): number | bigint {
    if (length > longestInteger || length < 0)
      this.fail(`an integer of ${length} bytes, at most ${longestInteger} are read`);
    const digits = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(digits[i]);
    return exact(length === 0 ? value : BigInt.asIntN(8 * length, value));
  }

  // The stack.

  push(value: unknown): void {
    this.stack.push(value);
  }

  pop(): unknown {
    if (this.stack.length === 0) this.fail('a value is needed, but the stack is empty; damaged?');
    return this.stack.pop();
  }

  top(): unknown {
    if (this.stack.length === 0) this.fail('a value is needed, but the stack is empty; damaged?');
    return this.stack[this.stack.length - 1];
  }

  mark(): void {
    if (this.below.length >= deepestPickle) this.fail(`nested more than ${deepestPickle} levels deep`);
    this.below.push(this.stack);
    this.stack = [];
  }

  /** The values above the last mark, which is removed with them. */
  popMark(): unknown[] {
    const values = this.stack;
    const stack = this.below.pop();
    if (!stack) this.fail('a mark is needed, but there is none; damaged?');
    this.stack = stack;
    return values;
  }

  /** Drops the top value, or the last mark where there is nothing above it. */
  drop(): void {
    if (this.stack.length > 0) this.stack.pop();
    else this.popMark();
  }

  several(count: number): unknown[] {
    if (this.stack.length < count)
      this.fail(`${count} values are needed, the stack has ${this.stack.length}; damaged?`);
    return this.stack.splice(this.stack.length - count, count);
  }

  remember(index: number | bigint): void {
    if (typeof index === 'bigint' || index < 0) this.fail(`memo index ${index}`);
    this.memo.set(index, this.top());
  }

  rememberNext(): void {
    this.remember(this.memo.size);
  }

  recall(index: number | bigint): void {
    if (!this.memo.has(Number(index))) this.fail(`memo entry ${index} was never written; damaged?`);
    this.push(this.memo.get(Number(index)));
  }

  // Containers.

  /** Notes that a container holds values, and refuses when it becomes too deep. */
  private hold(container: object, values: readonly unknown[]): void {
    let depth = this.depths.get(container) ?? 1;
    for (const value of values) {
      if (typeof value === 'object' && value !== null) depth = Math.max(depth, (this.depths.get(value) ?? 0) + 1);
    }
    if (depth > deepestPickle) this.fail(`nested more than ${deepestPickle} levels deep`);
    this.depths.set(container, depth);
  }

  list(values: unknown[]): unknown[] {
    this.hold(values, values);
    return values;
  }

  append(values: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) this.fail(`values are appended to ${kindOf(list)}, not to a list`);
    this.hold(list, values);
    for (const value of values) list.push(value);
  }

  setItems(values: readonly unknown[], dict: unknown = this.top()): void {
    if (!(dict instanceof Map)) this.fail(`items are set in ${kindOf(dict)}, not in a dict`);
    if (values.length % 2 !== 0) this.fail('a key without a value; damaged?');
    this.hold(dict, values);
    for (let i = 0; i < values.length; i += 2) dict.set(this.key(values[i]), values[i + 1]);
  }

  dict(values: readonly unknown[]): Map<unknown, unknown> {
    const dict = new Map<unknown, unknown>();
    this.setItems(values, dict);
    return dict;
  }

  addItems(values: readonly unknown[], set: unknown = this.top()): void {
    if (!(set instanceof Set)) this.fail(`values are added to ${kindOf(set)}, not to a set`);
    for (const value of values) set.add(this.key(value));
  }

  set(values: readonly unknown[]): Set<unknown> {
    const set = new Set<unknown>();
    this.addItems(values, set);
    return set;
  }

  private key(value: unknown): unknown {
    if (typeof value === 'object' && value !== null)
      this.fail(`a key or member of a set is ${kindOf(value)}; texts and numbers are read`);
    return value;
  }

  // Names and objects.

  global(module: unknown, name: unknown): PickleGlobal {
    if (typeof module !== 'string' || typeof name !== 'string') {
      this.fail(`a name must be two texts, got ${kindOf(module)} and ${kindOf(name)}`);
    }
    const full = `${module}.${name}`;
    const found = this.options.globals.get(full);
    if (!found) {
      this.fail(
        `the pickle asks for ${JSON.stringify(full.slice(0, 200))}, which is not on the list of what may be made; nothing of it was run`,
      );
    }
    return found;
  }

  /** Calls a constructor of the list, or makes an object of a class of the list. */
  make(how: 'call' | 'create', callee: unknown, args: unknown): void {
    if (!this.isGlobal(callee)) this.fail(`${kindOf(callee)} is called`);
    if (!Array.isArray(args)) this.fail(`${callee.name} is called with ${kindOf(args)}, not with a list of arguments`);
    const constructor = how === 'create' ? (callee.create ?? callee.call) : callee.call;
    if (!constructor) this.fail(`${callee.name} can't be called`);
    const made = this.complainHere(callee.name, () => constructor(args));
    if (typeof made === 'object' && made !== null) this.hold(made, args);
    this.push(made);
  }

  /** Whether a value is a name of the list itself. */
  private isGlobal(value: unknown): value is PickleGlobal {
    return isObject(value) && 'name' in value && this.options.globals.get(value.name as string) === value;
  }

  build(): void {
    const state = this.pop();
    const object = this.top();
    // A dict with attributes, such as the _metadata of a state dict: only its items count.
    if (object instanceof Map) return;
    if (!isStateful(object)) this.fail(`${kindOf(object)} is given a state`);
    this.hold(object, [state]);
    this.complainHere(kindOf(object), () => object.setState(state));
  }

  persistent(id: unknown): void {
    const { persistent } = this.options;
    if (!persistent) this.fail(`a reference to something outside of the pickle, ${kindOf(id)}`);
    this.push(this.complainHere('persistent id', () => persistent(id)));
  }

  private complainHere<T>(what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return this.fail(`${what}: ${error.message}`);
    }
  }

  protocol(): void {
    const version = this.byte();
    if (version > 5) this.fail(`protocol ${version}, at most 5 is known`);
  }

  /** A frame says how many bytes follow: they must be there. */
  frame(): void {
    const length = this.uint64();
    this.take(length);
    this.position -= Number(length);
  }

  /** A quoted text of protocol 0, with the escapes of Python. */
  quoted(): string {
    const text = this.line(this.bytes.length);
    const quote = text.charAt(0);
    if (text.length < 2 || (quote !== '"' && quote !== "'") || !text.endsWith(quote))
      this.fail('a text without quotes');
    return text.slice(1, -1).replaceAll(/\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)/g, (_, escape: string) => {
      if (/^x./.test(escape)) return String.fromCharCode(Number.parseInt(escape.slice(1), 16));
      if (/^[0-7]/.test(escape)) return String.fromCharCode(Number.parseInt(escape, 8) & 0xff);
      return escapes[escape] ?? `\\${escape}`;
    });
  }

  /** A text of protocol 0: Latin-1 with \u and \U escapes. */
  rawUnicode(): string {
    return this.line(this.bytes.length).replaceAll(/\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g, (_, short, long) => {
      const code = Number.parseInt((short ?? long) as string, 16);
      if (code > 0x10ffff) this.fail(`character ${hex(code)} does not exist`);
      return String.fromCodePoint(code);
    });
  }

  float(text: string): number {
    const value =
      specialFloats.get(text) ?? (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined);
    if (value === undefined) this.fail(`${JSON.stringify(text.slice(0, 60))} is no number`);
    return value;
  }

  textInteger(): number | bigint | boolean {
    const text = this.line();
    return text === '00' ? false : text === '01' ? true : this.integer(text);
  }
}

const specialFloats: ReadonlyMap<string, number> = new Map([
  ['nan', NaN],
  ['-nan', NaN],
  ['inf', Infinity],
  ['-inf', -Infinity],
]);

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '\\': '\\', "'": "'", '"': '"' };

const hex = (code: number): string => `0x${code.toString(16).padStart(2, '0')}`;

const exact = (value: bigint): number | bigint =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

const isStateful = (value: unknown): value is Stateful => isObject(value) && 'setState' in value;

/** One character a byte. */
export function latin1(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let start = 0; start < bytes.length; start += 4096) {
    parts.push(String.fromCharCode(...bytes.subarray(start, start + 4096)));
  }
  return parts.join('');
}

const stop = '.'.charCodeAt(0);

/** What each operation does, by its byte. */
const operations: readonly (((machine: Machine) => void) | undefined)[] = (() => {
  const table: ((machine: Machine) => void)[] = [];
  const on = (code: string | number, operation: (machine: Machine) => void): void => {
    table[typeof code === 'number' ? code : code.charCodeAt(0)] = operation;
  };
  const refuse = (code: number, what: string): void => on(code, (m) => m.fail(`${what} is not read`));

  // Values.
  on('N', (m) => m.push(null));
  on(0x88, (m) => m.push(true));
  on(0x89, (m) => m.push(false));
  on('I', (m) => m.push(m.textInteger()));
  on('J', (m) => m.push(m.int32()));
  on('K', (m) => m.push(m.byte()));
  on('M', (m) => m.push(m.uint16()));
  on('L', (m) => m.push(m.integer(m.line().replace(/L$/, ''))));
  on(0x8a, (m) => m.push(m.long(m.byte())));
  on(0x8b, (m) => m.push(m.long(m.int32())));
  on('F', (m) => m.push(m.float(m.line())));
  on('G', (m) => m.push(m.float64()));
  // Texts and bytes. Strings of Python 2 are read as Latin-1, as torch.load and numpy.load do.
  on('S', (m) => m.push(m.quoted()));
  on('T', (m) => m.push(latin1(m.take(m.int32()))));
  on('U', (m) => m.push(latin1(m.take(m.byte()))));
  on('V', (m) => m.push(m.rawUnicode()));
  on('X', (m) => m.push(m.utf8(m.take(m.uint32()))));
  on(0x8c, (m) => m.push(m.utf8(m.take(m.byte()))));
  on(0x8d, (m) => m.push(m.utf8(m.take(m.uint64()))));
  on('B', (m) => m.push(m.take(m.uint32())));
  on('C', (m) => m.push(m.take(m.byte())));
  on(0x8e, (m) => m.push(m.take(m.uint64())));
  on(0x96, (m) => m.push(m.take(m.uint64())));
  refuse(0x97, 'a buffer outside of the pickle');
  on(0x98, () => {}); // READONLY_BUFFER: all bytes are read only here
  // The stack and the memo.
  on('(', (m) => m.mark());
  on('0', (m) => m.drop());
  on('1', (m) => m.popMark());
  on('2', (m) => m.push(m.top()));
  on('g', (m) => m.recall(m.integer(m.line())));
  on('h', (m) => m.recall(m.byte()));
  on('j', (m) => m.recall(m.uint32()));
  on('p', (m) => m.remember(m.integer(m.line())));
  on('q', (m) => m.remember(m.byte()));
  on('r', (m) => m.remember(m.uint32()));
  on(0x94, (m) => m.rememberNext());
  // Containers.
  on(']', (m) => m.push(m.list([])));
  on('l', (m) => m.push(m.list(m.popMark())));
  on('a', (m) => m.append([m.pop()]));
  on('e', (m) => m.append(m.popMark()));
  on(')', (m) => m.push(m.list([])));
  on('t', (m) => m.push(m.list(m.popMark())));
  on(0x85, (m) => m.push(m.list(m.several(1))));
  on(0x86, (m) => m.push(m.list(m.several(2))));
  on(0x87, (m) => m.push(m.list(m.several(3))));
  on('}', (m) => m.push(m.dict([])));
  on('d', (m) => m.push(m.dict(m.popMark())));
  on('s', (m) => m.setItems(m.several(2)));
  on('u', (m) => m.setItems(m.popMark()));
  on(0x8f, (m) => m.push(m.set([])));
  on(0x90, (m) => m.addItems(m.popMark()));
  on(0x91, (m) => m.push(m.set(m.popMark())));
  // Names and objects.
  on('c', (m) => m.push(m.global(m.line(), m.line())));
  on(0x93, (m) => m.push(m.global(...(m.several(2) as [unknown, unknown]))));
  on('R', (m) => {
    const [callee, args] = m.several(2);
    m.make('call', callee, args);
  });
  on(0x81, (m) => {
    const [callee, args] = m.several(2);
    m.make('create', callee, args);
  });
  on(0x92, (m) => {
    const [callee, args, named] = m.several(3);
    if (!(named instanceof Map) || named.size > 0) m.fail('an object made with named arguments is not read');
    m.make('create', callee, args);
  });
  on('i', (m) => {
    const callee = m.global(m.line(), m.line());
    m.make('create', callee, m.popMark());
  });
  on('o', (m) => {
    const [callee, ...args] = m.popMark();
    m.make('create', callee, args);
  });
  on('b', (m) => m.build());
  on('P', (m) => m.persistent(m.line()));
  on('Q', (m) => m.persistent(m.pop()));
  refuse(0x82, 'a name by number (EXT1)');
  refuse(0x83, 'a name by number (EXT2)');
  refuse(0x84, 'a name by number (EXT4)');
  // The format itself.
  on(0x80, (m) => m.protocol());
  on(0x95, (m) => m.frame());
  return table;
})();
