import type { NodeProto } from './onnx_pb.ts';

/** Nodes by number: what each is made of, and how long its way from the inputs is. */
interface Graph {
  readonly sources: readonly (readonly number[])[];
  readonly depth: Uint32Array;
  /** How many nodes read each. */
  readonly readers: Uint32Array;
}

/**
 * Puts nodes into an order in which ONNX Runtime runs each as soon as what it is made of is there.
 *
 * Its own order is a depth-first walk from the nodes that feed no other, and at every node from its inputs, beginning
 * with the one that is last in the file. Of a training step in the order in which it was made, it would run the whole
 * backward pass down to the first layer before any weight gradient, and keep all that is computed anew until then. Here,
 * of nodes that don't depend on each other, the one with the shorter way from the inputs comes last in the file. Of the
 * nodes that feed no other it is that one too, or the other way round, where less is alive at once then: a node
 * that gathers all the others is best walked first.
 *
 * @param nodes  in a topological order
 * @param sizes  how much each node makes, about
 * @returns      the same nodes in another topological order
 */
export function orderForDepthFirst<Node extends Pick<NodeProto, 'input' | 'output'>>(
  nodes: readonly Node[],
  sizes: readonly number[],
): Node[] {
  const graph = graphOf(nodes);
  const [best] = [1, -1]
    .map((direction) => fileOrder(graph, direction))
    .map((file) => ({ file, alive: mostAlive(graph, sizes, depthFirst(graph, file)) }))
    .sort((a, b) => a.alive - b.alive);
  return best.file.map((index) => nodes[index]);
}

function graphOf(nodes: readonly Pick<NodeProto, 'input' | 'output'>[]): Graph {
  const producer = new Map(nodes.flatMap(({ output }, index) => output.map((name) => [name, index] as const)));
  const sources = nodes.map(({ input }) => {
    const found = input.map((name) => producer.get(name));
    return [...new Set(found.filter((index) => index !== undefined))];
  });
  const depth = new Uint32Array(nodes.length);
  const readers = new Uint32Array(nodes.length);
  sources.forEach((from, index) => {
    for (const source of from) {
      depth[index] = Math.max(depth[index], depth[source] + 1);
      readers[source]++;
    }
  });
  return { sources, depth, readers };
}

/** @param direction  1: of the nodes that feed no other, the one with the shortest way is last in the file; -1: the first */
function fileOrder({ sources, depth, readers }: Graph, direction: number): number[] {
  const count = sources.length;
  /** Smaller for a shorter way from the inputs, then for the node that was made first. */
  const rank = (index: number): number => depth[index] * count + index;
  const waiting = readers.slice();
  const free = new MinHeap();
  const fromTheEnd: number[] = [];
  const place = (index: number): void => {
    fromTheEnd.push(index);
    for (const source of sources[index]) if (--waiting[source] === 0) free.push(rank(source));
  };
  const last = Array.from(sources.keys()).filter((index) => readers[index] === 0);
  for (const index of last.sort((a, b) => direction * (rank(a) - rank(b)))) place(index);
  for (let next = free.pop(); next !== undefined; next = free.pop()) place(next % count);
  return fromTheEnd.reverse();
}

/** The order in which the engine runs a file. */
function depthFirst({ sources, readers }: Graph, file: readonly number[]): number[] {
  const place = new Uint32Array(file.length);
  file.forEach((index, at) => (place[index] = at));
  const run: number[] = [];
  const seen = new Uint8Array(file.length);
  // A number below 0 stands for a node all of whose sources have been run.
  const stack = file.filter((index) => readers[index] === 0);
  for (let index = stack.pop(); index !== undefined; index = stack.pop()) {
    if (index < 0) run.push(-1 - index);
    if (index < 0 || seen[index]) continue;
    seen[index] = 1;
    stack.push(-1 - index, ...[...sources[index]].sort((a, b) => place[a] - place[b]));
  }
  return run;
}

/** The most that is there at once, when each value is dropped after its last reader. */
function mostAlive({ sources, readers }: Graph, sizes: readonly number[], run: readonly number[]): number {
  const waiting = readers.slice();
  let alive = 0;
  let most = 0;
  for (const index of run) {
    alive += sizes[index];
    most = Math.max(most, alive);
    for (const source of sources[index]) if (--waiting[source] === 0) alive -= sizes[source];
  }
  return most;
}

/** Numbers, the smallest of which comes out first. */
class MinHeap {
  private readonly items: number[] = [];

  push(value: number): void {
    const { items } = this;
    let at = items.length;
    for (let parent = (at - 1) >> 1; at > 0 && items[parent] > value; parent = (at - 1) >> 1) {
      items[at] = items[parent];
      at = parent;
    }
    items[at] = value;
  }

  pop(): number | undefined {
    const { items } = this;
    const smallest = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return smallest;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= items.length) break;
      const child = left + 1 < items.length && items[left + 1] < items[left] ? left + 1 : left;
      if (items[child] >= last) break;
      items[at] = items[child];
      at = child;
    }
    items[at] = last;
    return smallest;
  }
}
