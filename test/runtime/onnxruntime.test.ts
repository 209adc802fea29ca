import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StfError, UsageError } from '../../src/errors.ts';
import {
  add,
  cast,
  concatFlat,
  constant,
  input,
  matmul,
  mul,
  reshape,
  slice,
  sub,
  sum,
  transpose,
} from '../../src/graph/index.ts';
import { nodeRuntime, optionsFor } from '../../src/node/onnxruntime.ts';
import { onnxRuntime } from '../../src/runtime/index.ts';
import { blockSize } from '../../src/runtime/blocks.ts';
import type { GraphSpec, Program, State } from '../../src/runtime/index.ts';

const runtime = nodeRuntime({ threads: 1 });

const vector = (...values: number[]) => ({
  shape: [values.length],
  dtype: 'float32' as const,
  data: Float32Array.from(values),
});

describe('state', () => {
  let swap: Program;
  let reader: Program;

  beforeAll(async () => {
    const [a, b, count] = [input('a', [2]), input('b', [2]), input('count', [1])];
    swap = await runtime.compile({
      name: 'swap',
      outputs: {},
      state: { a: { current: a, next: b }, b: { current: b, next: a }, count: { current: count, next: add(count, 1) } },
    });
    // Reads two entries under other names of its own, replaces one, and returns an entry as it is.
    const [left, right, scale] = [input('left', [2]), input('right', [2]), input('scale', [])];
    reader = await runtime.compile({
      name: 'reader',
      outputs: { difference: sub(left, right), before: right },
      state: { a: { current: left }, b: { current: right, next: mul(right, scale) } },
    });
  });

  afterAll(async () => {
    await swap.release();
    await reader.release();
  });

  const made = (): State => runtime.createState({ a: vector(1, 2), b: vector(3, 4), count: vector(0) });
  const values = async (state: State): Promise<number[][]> =>
    Promise.all(['a', 'b', 'count'].map(async (name) => [...((await state.read(name)) as Float32Array)]));

  test('a whole run reads the old values: entries that take each other change places', async () => {
    const state = made();
    for (let run = 1; run <= 101; run++) {
      await swap.run({}, state);
      // Small integers: exact.
      expect(await values(state)).toEqual([run % 2 ? [3, 4] : [1, 2], run % 2 ? [1, 2] : [3, 4], [run]]);
    }
  });

  test('two programs share one state', async () => {
    const state = made();
    for (let run = 0; run < 5; run++) {
      const [a, b] = await values(state);
      const { difference, before } = await reader.run({ scale: Float32Array.of(2) }, state);
      expect([...(difference as Float32Array)]).toEqual(a.map((value, i) => value - b[i]));
      expect([...(before as Float32Array)]).toEqual(b);
      expect((await values(state)).slice(0, 2)).toEqual([a, b.map((value) => 2 * value)]);
      await swap.run({}, state);
    }
    expect((await values(state))[2]).toEqual([5]);
  });

  test('two states of one program do not touch each other', async () => {
    const [one, other] = [made(), made()];
    await swap.run({}, one);
    expect(await values(one)).toEqual([[3, 4], [1, 2], [1]]);
    expect(await values(other)).toEqual([[1, 2], [3, 4], [0]]);
  });

  test('what is read, written and given at the start are copies', async () => {
    const start = vector(1, 2);
    const state = runtime.createState({ a: start, b: vector(3, 4), count: vector(0) });
    start.data.fill(9);
    ((await state.read('a')) as Float32Array).fill(9);
    expect((await values(state))[0]).toEqual([1, 2]);
    const written = Float32Array.of(5, 6);
    state.write('a', written);
    written.fill(9);
    expect((await values(state))[0]).toEqual([5, 6]);
    await swap.run({}, state);
    expect((await values(state)).slice(0, 2)).toEqual([
      [3, 4],
      [5, 6],
    ]);
  });

  test('the host changes an entry, and a run that is started meanwhile reads what it made', async () => {
    const state = made();
    const changing = state.update('a', async (data) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      (data as Float32Array).forEach((value, i) => (data[i] = 10 * value));
    });
    await Promise.all([changing, swap.run({}, state)]);
    expect(await values(state)).toEqual([[3, 4], [10, 20], [1]]);
    expect(() => state.update('c', () => Promise.resolve())).toThrow('there is no state "c"');
  });

  test('an output that is an entry as it is stays the same when the entry changes', async () => {
    const state = made();
    const { before } = await reader.run({ scale: Float32Array.of(1) }, state);
    state.write('b', Float32Array.of(8, 8));
    await swap.run({}, state);
    await swap.run({}, state);
    state.write('b', Float32Array.of(8, 8));
    expect([...(before as Float32Array)]).toEqual([3, 4]);
  });

  test('a run whose outputs are not accepted leaves the state as it was', async () => {
    const state = made();
    for (const accepted of [false, false, true]) {
      const seen: unknown[] = [];
      const outputs = await reader.run({ scale: Float32Array.of(10) }, state, (given) => {
        seen.push(given);
        return accepted;
      });
      expect(seen).toEqual([outputs]);
      expect([...(outputs.before as Float32Array)]).toEqual([3, 4]);
      expect((await values(state))[1]).toEqual(accepted ? [30, 40] : [3, 4]);
    }
  });

  test('runs that are started together take place one after another', async () => {
    const state = made();
    const runs = await Promise.all([1, 2, 3].map((scale) => reader.run({ scale: Float32Array.of(scale) }, state)));
    // 3, 4 by 1, by 2 and by 3: exact.
    expect(runs.map(({ before }) => [...(before as Float32Array)])).toEqual([
      [3, 4],
      [3, 4],
      [6, 8],
    ]);
    expect((await values(state))[1]).toEqual([18, 24]);
  });

  test('a run that fails leaves the state as it was', async () => {
    const state = made();
    await expect(reader.run({ scale: Float32Array.of(1, 2) }, state)).rejects.toThrow(UsageError);
    expect(await values(state)).toEqual([[1, 2], [3, 4], [0]]);
  });

  test('what does not fit is refused, by name', async () => {
    await expect(swap.run({})).rejects.toThrow('swap: needs state made by the same runtime');
    const incomplete = runtime.createState({ a: vector(1, 2), b: vector(1, 2) });
    await expect(swap.run({}, incomplete)).rejects.toThrow('there is no state "count". Entries are: a, b.');
    const other = runtime.createState({ a: vector(1, 2, 3), b: vector(1, 2), count: vector(0) });
    await expect(swap.run({}, other)).rejects.toThrow(UsageError);
    await expect(swap.run({}, other)).rejects.toThrow('state "a" is float32 [3], the program reads float32 [2]');
    const flat = { shape: [2, 1], dtype: 'float32' as const, data: new Float32Array(2) };
    const turned = runtime.createState({ a: flat, b: vector(1, 2), count: vector(0) });
    await expect(swap.run({}, turned)).rejects.toThrow('state "a" is float32 [2, 1], the program reads float32 [2]');
    const state = made();
    expect(() => state.write('a', Float32Array.of(1))).toThrow('state "a" holds Float32Array of 2 values');
    expect(() => state.write('a', new Float64Array(2))).toThrow('got Float64Array of 2');
    expect(() => state.write('c', Float32Array.of(1))).toThrow('there is no state "c"');
    expect(() => runtime.createState({ a: { ...vector(1, 2), shape: [3] } })).toThrow(UsageError);
  });

  test('a new value of another shape than its entry is refused when it is compiled', async () => {
    const a = input('a', [2]);
    const build = (): Promise<Program> =>
      runtime.compile({ name: 'growing', outputs: {}, state: { a: { current: a, next: sum(a, 0, true) } } });
    await expect(build()).rejects.toThrow(UsageError);
    await expect(build()).rejects.toThrow('growing: state "a" is float32 [2], its new value float32 [1]');
  });
});

describe('inputs and outputs', () => {
  let program: Program;

  beforeAll(async () => {
    const x = input('x', [2, 3]);
    program = await runtime.compile({
      name: 'probe',
      outputs: {
        turned: transpose(x, [1, 0]),
        numbers: add(input('labels', [2], 'int64'), constant([1], [1], 'int64')),
        scaled: sub(cast(input('pixels', [2], 'uint8'), 'float32'), 1),
        third: input('double', [1], 'float64'),
        unchanged: x,
      },
    });
  });

  afterAll(() => program.release());

  const feeds = () => ({
    x: Float32Array.of(1, 2, 3, 4, 5, 6),
    labels: BigInt64Array.of(5n, -1n),
    pixels: Uint8Array.of(0, 255),
    double: Float64Array.of(1 / 3),
  });

  test('every element type goes in and comes out exactly', async () => {
    expect(await program.run(feeds())).toEqual({
      turned: Float32Array.of(1, 4, 2, 5, 3, 6),
      numbers: BigInt64Array.of(6n, 0n),
      scaled: Float32Array.of(-1, 254),
      third: Float64Array.of(1 / 3),
      unchanged: Float32Array.of(1, 2, 3, 4, 5, 6),
    });
  });

  test("outputs are the caller's: neither later runs nor changed inputs reach them", async () => {
    const given = feeds();
    const first = await program.run(given);
    given.x.fill(0);
    const second = await program.run(given);
    (second.turned as Float32Array).fill(7);
    const third = await program.run(given);
    expect([...(first.turned as Float32Array)]).toEqual([1, 4, 2, 5, 3, 6]);
    expect([...(first.unchanged as Float32Array)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...(third.turned as Float32Array)]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('outputs outlive the program', async () => {
    const x = input('x', [1000]);
    const short = await runtime.compile({ name: 'short-lived', outputs: { y: mul(x, 2) } });
    const { y } = await short.run({ x: new Float32Array(1000).fill(3) });
    await short.release();
    expect((y as Float32Array).every((value) => value === 6)).toBe(true);
  });

  test('inputs that are missing, unknown, of another size or type are named', async () => {
    const { x, ...rest } = feeds();
    const cases: [Parameters<Program['run']>[0], string][] = [
      [rest, 'probe: input "x" (float32 [2, 3]) is missing'],
      [{ x: x.subarray(1), ...rest }, 'probe: input "x" must be float32 [2, 3], 6 values, got Float32Array of 5'],
      [{ x: new Float64Array(6), ...rest }, 'input "x" must be float32 [2, 3], 6 values, got Float64Array of 6'],
      [{ x, ...rest, z: x }, 'probe: there is no input "z". Inputs are: '],
    ];
    for (const [given, message] of cases) {
      await expect(program.run(given)).rejects.toThrow(UsageError);
      await expect(program.run(given)).rejects.toThrow(message);
    }
  });
});

test('a graph the engine refuses is an error that names it', async () => {
  const [a, b] = [input('x', [2]), input('x', [2])];
  await expect(runtime.compile({ name: 'twins', outputs: { y: add(a, b) } })).rejects.toThrow(StfError);
  const computed = mul(a, 2);
  const spec = { name: 'loose', outputs: {}, state: { a: { current: computed, next: computed } } };
  await expect(runtime.compile(spec)).rejects.toThrow('loose: state "a" must be read through a graph input');
});

test('threads must be a positive integer', () => {
  expect(() => nodeRuntime({ threads: 0 })).toThrow(UsageError);
  expect(() => nodeRuntime({ threads: 1.5 })).toThrow('--threads must be an integer of at least 1, got 1.5');
  expect(runtime).toMatchObject({ device: 'cpu', threads: 1 });
  expect(runtime.engine).toMatch(/^onnxruntime-node \d+\.\d+\.\d+/);
});

describe('state that is written over', () => {
  /** Three pieces of one vector are read; their negatives, doubled, make up the next value of another. */
  const pieces = async (isScratch: boolean): Promise<Program> => {
    const [a, b] = [input('a', [7]), input('b', [7])];
    const cut = [slice(a, 0, 0, 2), reshape(slice(a, 0, 2, 6), [2, 2]), slice(a, 0, 6, 7)];
    const before = [slice(b, 0, 0, 2), reshape(slice(b, 0, 2, 6), [2, 2]), slice(b, 0, 6, 7)];
    return runtime.compile({
      name: 'pieces',
      outputs: { total: sum(mul(cut[1], cut[1])) },
      state: {
        a: { current: a },
        b: { current: b, next: concatFlat(cut.map((each, i) => add(before[i], mul(each, -2)))), isScratch },
      },
    });
  };
  const start = () => ({ a: vector(1, 2, 3, 4, 5, 6, 7), b: vector(0, 1, 0, 1, 0, 1, 0) });
  const list = async (state: State, name: string): Promise<number[]> => [...((await state.read(name)) as Float32Array)];

  test('a vector is read and written piece by piece', async () => {
    for (const isScratch of [false, true]) {
      const program = await pieces(isScratch);
      const state = runtime.createState(start());
      for (const times of [1, 2, 3]) {
        const { total } = await program.run({}, state);
        // Small integers: exact. 9 + 16 + 25 + 36.
        expect([...(total as Float32Array)]).toEqual([86]);
        const expected = [0, 1, 0, 1, 0, 1, 0].map((value, i) => value - 2 * times * (i + 1));
        expect(await list(state, 'b'), `scratch ${isScratch}`).toEqual(expected);
        expect(await list(state, 'a')).toEqual([1, 2, 3, 4, 5, 6, 7]);
      }
      await program.release();
    }
  });

  test('without being scratch, it stays as it was after a run that is not accepted', async () => {
    const program = await pieces(false);
    const state = runtime.createState(start());
    await program.run({}, state, () => false);
    expect(await list(state, 'b')).toEqual([0, 1, 0, 1, 0, 1, 0]);
    await program.release();
  });

  test('an entry whose old value is needed after its new one is there is refused', async () => {
    const [a, b] = [input('a', [2]), input('b', [2])];
    const late = runtime.compile({
      name: 'late',
      outputs: { before: mul(a, 3) },
      state: { a: { current: a, next: add(a, 1), isScratch: true } },
    });
    await expect(late).rejects.toThrow(StfError);
    await expect(late).rejects.toThrow('late: state "a" can\'t be written over');
    const turned = runtime.compile({
      name: 'turned',
      outputs: {},
      state: { a: { current: a, next: concatFlat([slice(a, 0, 1, 2), slice(a, 0, 0, 1)]), isScratch: true } },
    });
    await expect(turned).rejects.toThrow('turned: state "a" can\'t be written over');
    const crossed = runtime.compile({
      name: 'crossed',
      outputs: {},
      elementwise: true,
      state: { a: { current: a, next: add(a, b) }, b: { current: b, next: sub(a, b) } },
    });
    await expect(crossed).rejects.toThrow('crossed: state "a" can\'t be written over');
  });

  test('an entry that anything but elementwise work depends on is refused: the engine joins and moves such operators', async () => {
    // MatMul and Add become one Gemm, which would write over what it reads.
    const [a, w, bias] = [input('a', [8, 8]), input('w', [8, 8]), input('bias', [8])];
    const joined = runtime.compile({
      name: 'joined',
      outputs: {},
      state: { a: { current: a, next: add(matmul(a, w), bias), isScratch: true } },
    });
    await expect(joined).rejects.toThrow('joined: state "a" can\'t be written over');
    // The engine moves the transposition behind the products, where it would read what was written.
    const t = transpose(a, [1, 0]);
    const moved = runtime.compile({
      name: 'moved',
      outputs: { late: transpose(mul(mul(t, 3), t), [1, 0]) },
      state: { a: { current: a, next: transpose(add(mul(t, 2), 1), [1, 0]), isScratch: true } },
    });
    await expect(moved).rejects.toThrow('moved: state "a" can\'t be written over');
  });

  test('where nothing is written over, the same graphs are refused', async () => {
    const elsewhere = onnxRuntime(ort, { ...optionsFor({ threads: 1 }), stateIn: 'results' });
    const x = input('x', [4]);
    const late = elsewhere.compile({
      name: 'late',
      outputs: { y: sum(mul(x, 2)) },
      state: { x: { current: x, next: add(x, 1), isScratch: true } },
    });
    await expect(late).rejects.toThrow('late: state "x" can\'t be written over');
    const whole = elsewhere.compile({
      name: 'whole',
      outputs: {},
      elementwise: true,
      state: { x: { current: x, next: sub(x, sum(x)) } },
    });
    await expect(whole).rejects.toThrow(`can't hold "sum"`);
  });
});

describe('an elementwise program', () => {
  const compile = (length: number): Promise<Program> => {
    const [x, m, rate] = [input('x', [length]), input('m', [length]), input('rate', [])];
    const next = add(mul(m, 0.5), x);
    return runtime.compile({
      name: 'momentum',
      outputs: {},
      elementwise: true,
      state: { x: { current: x, next: sub(x, mul(next, rate)) }, m: { current: m, next } },
    });
  };

  test('replaces every element, in whole blocks and in the rest', async () => {
    for (const length of [1, 5, blockSize - 1, blockSize, blockSize + 1, 2 * blockSize + 3]) {
      const program = await compile(length);
      const entry = (data: Float32Array) => ({ shape: [length], dtype: 'float32' as const, data });
      const x = Float32Array.from({ length }, (_, i) => i % 1021);
      const m = Float32Array.from({ length }, (_, i) => 2 * (i % 509));
      const state = runtime.createState({ x: entry(x), m: entry(m) });
      await program.run({ rate: Float32Array.of(0.25) }, state);
      // Quarters of integers below 2^12: exact.
      const expectedM = m.map((each, i) => each / 2 + x[i]);
      const isSame = async (name: string, expected: Float32Array): Promise<boolean> =>
        ((await state.read(name)) as Float32Array).every((value, i) => value === expected[i]);
      expect(await isSame('m', expectedM), `m of ${length}`).toBe(true);
      expect(
        await isSame(
          'x',
          x.map((each, i) => each - expectedM[i] / 4),
        ),
        `x of ${length}`,
      ).toBe(true);
      await program.release();
    }
  });

  test('is refused when it is none, and its runs are not judged', async () => {
    const x = input('x', [4]);
    const compiled = (spec: Partial<GraphSpec>): Promise<Program> =>
      runtime.compile({ name: 'odd', outputs: {}, elementwise: true, state: { x: { current: x, next: x } }, ...spec });
    await expect(compiled({ outputs: { y: x } })).rejects.toThrow('replaces state and has no outputs');
    await expect(compiled({ state: { x: { current: x, next: sub(x, sum(x)) } } })).rejects.toThrow(`can't hold "sum"`);
    const y = input('y', [3]);
    await expect(compiled({ state: { x: { current: x, next: x }, y: { current: y, next: y } } })).rejects.toThrow(
      'vectors of one length, got [3] beside [4]',
    );
    const program = await compile(4);
    const state = runtime.createState({ x: vector(1, 2, 3, 4), m: vector(0, 0, 0, 0) });
    const judged = program.run({ rate: Float32Array.of(1) }, state, () => true);
    await expect(judged).rejects.toThrow('momentum: runs of an elementwise program can\'t be judged by "accept"');
    expect([...((await state.read('x')) as Float32Array)]).toEqual([1, 2, 3, 4]);
    await program.release();
  });

  test('what is read meanwhile is what a whole run left, and nothing can be written', async () => {
    const length = 3 * blockSize;
    const x = input('x', [length]);
    const program = await runtime.compile({
      name: 'count',
      outputs: {},
      elementwise: true,
      state: { x: { current: x, next: add(x, 1) } },
    });
    const state = runtime.createState({ x: { shape: [length], dtype: 'float32' } });
    const runs = [program.run({}, state), program.run({}, state)];
    await new Promise((resolve) => setImmediate(resolve));
    const reading = state.read('x');
    expect(() => state.write('x', new Float32Array(length))).toThrow('state "x" can\'t be written while a program');
    const seen = (await reading) as Float32Array;
    expect(seen.every((value) => value === seen[0])).toBe(true);
    await Promise.all(runs);
    expect(((await state.read('x')) as Float32Array).every((value) => value === 2)).toBe(true);
    state.write('x', new Float32Array(length));
    await program.release();
  });
});
