import type { GraphSpec, Program, Runtime, State } from '../../src/runtime/index.ts';
import type { TensorData } from '../../src/graph/index.ts';

/** Largest difference of two results, over the largest value of the first; infinite where either is not finite. */
export function relativeDifference(expected: TensorData, actual: TensorData): number {
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [Number(expected[i]), Number(actual[i])];
    if (!Number.isFinite(b)) return a === b ? difference : Infinity;
    largest = Math.max(largest, Math.abs(a));
    difference = Math.max(difference, Math.abs(a - b));
  }
  return difference === 0 ? 0 : difference / largest;
}

/** Told about every output of every run on both devices. */
export type Compare = (graph: string, output: string, error: number) => void;

/**
 * A runtime that does everything on two devices and passes on what the first one says. Inputs of both are the same, so a
 * difference is one of a single run; state drifts apart as it would in two runs.
 */
export function twinRuntime(first: Runtime, second: Runtime, compare: Compare): Runtime {
  const compile = async (spec: GraphSpec): Promise<Program> => {
    const [a, b] = [await first.compile(spec), await second.compile(spec)];
    return {
      name: a.name,
      run: async (inputs, state, accept) => {
        const twin = state as TwinState | undefined;
        const [expected, actual] = [await a.run(inputs, twin?.a, accept), await b.run(inputs, twin?.b, accept)];
        for (const [name, value] of Object.entries(expected))
          compare(spec.name, name, relativeDifference(value, actual[name]));
        return expected;
      },
      release: async () => {
        await a.release();
        await b.release();
      },
    };
  };
  return {
    engine: first.engine,
    device: `${first.device} and ${second.device}`,
    threads: first.threads,
    compile,
    createState: (entries) => new TwinState(first.createState(entries), second.createState(entries), compare),
  };
}

class TwinState implements State {
  readonly entries: State['entries'];

  constructor(
    readonly a: State,
    readonly b: State,
    private readonly compare: Compare,
  ) {
    this.entries = a.entries;
  }

  async read(name: string): Promise<TensorData> {
    const expected = await this.a.read(name);
    this.compare('state', name, relativeDifference(expected, await this.b.read(name)));
    return expected;
  }

  async look<T>(name: string, use: (data: TensorData) => Promise<T>): Promise<T> {
    return use(await this.read(name));
  }

  write(name: string, data: TensorData): void {
    this.a.write(name, data);
    this.b.write(name, data);
  }

  async update(name: string, change: (data: TensorData) => Promise<void>): Promise<void> {
    await this.a.update(name, change);
    await this.b.update(name, change);
  }
}
