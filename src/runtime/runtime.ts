import type { Shape, DType, Tensor, TensorData } from '../graph/index.ts';

/** What is to be run: named inputs and outputs, and state that stays on the device between runs. */
export interface GraphSpec {
  /** Shown in messages. */
  readonly name: string;
  /** Results by name. Inputs are found by walking the graph from here; each is named when it is made. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /**
   * Entries of the `State` that the graph reads (`current`, a graph input) and, where `next` is given, replaces. The
   * whole step reads the old values; the new ones are in force after it.
   */
  readonly state?: Readonly<Record<string, StateAccess>>;
  /**
   * Says that every new value is made of the same element of state and of scalars alone, as in a step of an optimiser. In
   * the host's memory the engine then works on a block of elements at a time and writes over the old values, so that no
   * second copy of the state is needed. Such a program has no outputs, its runs can't be judged by `accept`, and one that
   * fails on the way may leave some elements replaced and others not.
   */
  readonly elementwise?: boolean;
}

export interface StateAccess {
  readonly current: Tensor;
  readonly next?: Tensor;
  /**
   * The new value may be written over the old one, to save memory: for values that nobody needs after a run that was not
   * accepted or failed, since they are undefined then.
   */
  readonly isScratch?: boolean;
}

/** A compiled graph. */
export interface Program {
  readonly name: string;
  /**
   * Runs the graph once.
   *
   * @param inputs  values of all inputs that are not state, by name, in row-major order
   * @param state   values of the entries that the graph reads; replaced entries are swapped in when the run ends
   * @param accept  looks at the outputs; when it says no, the state stays as it was
   * @returns       values of the outputs, by name; the caller owns them
   * @throws UsageError when an input is missing, unknown or of the wrong size, or `accept` is given to a program that is
   *   elementwise
   */
  run(
    inputs: Readonly<Record<string, TensorData>>,
    state?: State,
    accept?: (outputs: Readonly<Record<string, TensorData>>) => boolean,
  ): Promise<Record<string, TensorData>>;
  /** Frees the engine's memory. A program can't be run afterwards. */
  release(): Promise<void>;
}

/** Named tensors that live where the device wants them; several programs may share one. */
export interface State {
  /** Names, shapes and element types. */
  readonly entries: ReadonlyMap<string, { shape: Shape; dtype: DType }>;
  /** A copy of an entry's present value. */
  read(name: string): Promise<TensorData>;
  /**
   * Lets the host look at an entry's present value without a copy where state lies in the host's memory. Runs of programs
   * wait until it is done; nothing may be changed.
   */
  look<T>(name: string, use: (data: TensorData) => Promise<T>): Promise<T>;
  /** Replaces an entry's value; the data are copied. */
  write(name: string, data: TensorData): void;
  /**
   * Lets the host change an entry's value: in place where state lies in the host's memory, else a copy that is written
   * back. Runs of programs wait until it is done.
   */
  update(name: string, change: (data: TensorData) => Promise<void>): Promise<void>;
}

/** Something that compiles and runs graphs. */
export interface Runtime {
  /** The engine and its version, for reports. */
  readonly engine: string;
  /** Where it runs, such as `cpu`. */
  readonly device: string;
  /** Threads one operator may use. */
  readonly threads: number;
  /** Compiles a graph. Costs from milliseconds to seconds: compile once and run often. */
  compile(spec: GraphSpec): Promise<Program>;
  /** Makes state with initial values, which are copied; zeros where none are given. */
  createState(entries: Readonly<Record<string, { shape: Shape; dtype: DType; data?: TensorData }>>): State;
}
