import { expect, test } from 'vitest';
import {
  add,
  ancestors,
  cast,
  checkpoint,
  concat,
  evaluate,
  gradients,
  input,
  matmul,
  mul,
  silu,
  sizeOf,
  slice,
  square,
  sum,
} from '../../src/graph/index.ts';
import type { Tensor } from '../../src/graph/index.ts';
import { orderForDepthFirst } from '../../src/graph/onnx/order.ts';
import { optimize } from '../../src/graph/passes/optimize.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

type Apply = (x: Tensor, segment: (x: Tensor) => Tensor) => Tensor;
const keep: Apply = (x, segment) => segment(x);

/** Blocks with parameters, decisions that come as bytes, a way around the blocks and one input that all of them read. */
function network(apply: Apply, blocks: number) {
  const x = input('x', [2, 4], 'float64');
  const embedding = input('embedding', [4, 4], 'float64');
  const keeps = input('keeps', [2, 4 * blocks], 'uint8');
  const weights = Array.from({ length: blocks }, (_, i) => input(`w${i}`, [4, 4], 'float64'));
  const shared = silu(embedding);
  let h = x;
  const skips: Tensor[] = [];
  weights.forEach((w, i) => {
    skips.push(h);
    h = apply(h, (each) => {
      const kept = mul(silu(matmul(each, w)), cast(slice(keeps, 1, 4 * i, 4 * i + 4), 'float64'));
      return add(each, matmul(kept, shared));
    });
  });
  for (const skip of skips.reverse()) h = apply(h, (each) => silu(slice(concat([square(each), skip], 1), 1, 2, 6)));
  return { loss: sum(square(h)), leaves: [x, embedding, ...weights], keeps };
}

test('gradients are those of keeping everything', () => {
  const results = [keep, checkpoint].map((apply) => {
    const { loss, leaves, keeps } = network(apply, 4);
    const feeds = new Map([
      ...leaves.map((each, i) => [each, testValues(sizeOf(each.shape), [-1, 1], i)] as const),
      [keeps, Float64Array.from({ length: 32 }, (_, i) => (i % 3 === 0 ? 0 : 1))] as const,
    ]);
    return evaluate([loss, ...optimize(gradients(loss, leaves))], feeds).map(({ data }) => [...data]);
  });
  // The value itself is the same; cotangents of a value that is read in several places may be added in another order.
  expect(results[1][0]).toEqual(results[0][0]);
  results[0].forEach((each, i) => expectClose(results[1][i], each, { relative: 1e-12, absolute: 1e-14 }));
  expect(results[0].flat().every(Number.isFinite)).toBe(true);
});

/** Values that are alive at once when nodes run as soon as they can, in elements: an allocator that frees after last use. */
function mostAlive(outputs: readonly Tensor[]): number {
  const nodes = ancestors(outputs);
  const names = new Map(nodes.map((node, i) => [node, `n${i}`]));
  const protos = nodes.map((node) => ({
    output: [names.get(node)!],
    input: node.inputs.map((each) => names.get(each)!),
  }));
  const byName = new Map(nodes.map((node) => [names.get(node)!, node]));
  // What the engine does with the file: a depth-first walk from the last node on.
  const file = orderForDepthFirst(
    protos,
    nodes.map(({ shape }) => sizeOf(shape)),
  );
  const place = new Map(file.map(({ output }, i) => [byName.get(output[0])!, i]));
  const fed = new Set(nodes.flatMap((node) => node.inputs));
  const run: Tensor[] = [];
  const seen = new Set<Tensor>();
  const visit = (node: Tensor): void => {
    if (seen.has(node)) return;
    seen.add(node);
    [...new Set(node.inputs)].sort((a, b) => place.get(b)! - place.get(a)!).forEach(visit);
    run.push(node);
  };
  nodes
    .filter((node) => !fed.has(node))
    .sort((a, b) => place.get(b)! - place.get(a)!)
    .forEach(visit);
  expect(run).toHaveLength(nodes.length);
  const lastUse = new Map<Tensor, number>();
  run.forEach((node, i) => [node, ...node.inputs].forEach((each) => lastUse.set(each, i)));
  outputs.forEach((each) => lastUse.set(each, run.length));
  let [alive, most] = [0, 0];
  const sizes = run.map(({ shape }) => sizeOf(shape));
  const ends = new Map<number, number>();
  run.forEach((node, i) => {
    alive += sizes[i];
    most = Math.max(most, alive);
    ends.set(lastUse.get(node)!, (ends.get(lastUse.get(node)!) ?? 0) + sizes[i]);
    alive -= ends.get(i) ?? 0;
  });
  return most;
}

test('less is alive at once, and the passes leave it so', () => {
  const wide = (apply: Apply): Tensor[] => {
    const x = input('x', [64, 64]);
    const weights = Array.from({ length: 12 }, (_, i) => input(`w${i}`, [64]));
    let h = x;
    for (const w of weights) h = apply(h, (each) => add(each, silu(mul(silu(mul(silu(mul(each, w)), w)), w))));
    return optimize(gradients(sum(square(h)), weights));
  };
  const [all, few] = [keep, checkpoint].map((apply) => mostAlive(wide(apply)));
  // Kept: 12 blocks of some seven values each; with checkpoints the input of each, and the inside of one.
  expect(few).toBeLessThan(0.45 * all);
});

test('what the segment does not depend on is left alone', () => {
  const [x, y] = [input('x', [2]), input('y', [2])];
  const before = silu(y);
  expect(checkpoint(x, () => before)).toBe(before);
});

test('the order for the engine is topological and keeps every node', () => {
  const { loss, leaves } = network(checkpoint, 3);
  const nodes = ancestors(gradients(loss, leaves));
  const protos = nodes.map((node) => ({ output: [`n${node.id}`], input: node.inputs.map(({ id }) => `n${id}`) }));
  const ordered = orderForDepthFirst(
    protos,
    nodes.map(({ shape }) => sizeOf(shape)),
  );
  expect(new Set(ordered)).toEqual(new Set(protos));
  const done = new Set<string>();
  for (const { input: from, output } of ordered) {
    for (const each of from) expect(done.has(each), each).toBe(true);
    done.add(output[0]);
  }
});
