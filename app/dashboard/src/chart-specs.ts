/** One quantity in a chart. */
export interface Line {
  readonly key: string;
  readonly label: string;
  /** Name of a colour of theme.css. */
  readonly color: string;
  /** Told apart by this where the colour says which run it is. */
  readonly dash?: readonly number[];
}

export interface ChartSpec {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  /** What is drawn of a value, where it is not the value itself. */
  readonly transform?: (value: number) => number;
  /** Single measurements, which are marked and not smoothed. */
  readonly isMeasured?: boolean;
  /** Of values that may be 0 or below, or all lie between 0 and 1. */
  readonly isAlwaysLinear?: boolean;
  /** Half of the width or a third of it. */
  readonly size: 'half' | 'third';
}

export interface ChartGroup {
  readonly title: string;
  readonly note?: string;
  readonly charts: readonly ChartSpec[];
}

const ranges = [
  ['low', 'low noise'],
  ['mid', 'middle noise'],
  ['high', 'high noise'],
] as const;

const main = { color: 'stf' } as const;

const [lower, higher] = ['lower is better', 'higher is better'];

/** What `stf evaluate` measures, in the order of its table. */
const measured: readonly {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly isAlwaysLinear?: boolean;
  readonly transform?: (value: number) => number;
}[] = [
  { name: 'fid', title: 'FID', unit: lower },
  { name: 'frechetDistance', title: 'Fréchet distance of features', unit: lower },
  { name: 'is', title: 'Inception Score', unit: higher, isAlwaysLinear: true },
  { name: 'kid', title: 'KID × 1000', unit: lower, isAlwaysLinear: true, transform: (value) => 1000 * value },
  { name: 'kernelDistance', title: 'Kernel distance of features', unit: lower, isAlwaysLinear: true },
  { name: 'precision', title: 'Precision', unit: higher, isAlwaysLinear: true },
  { name: 'recall', title: 'Recall', unit: higher, isAlwaysLinear: true },
  { name: 'density', title: 'Density', unit: higher, isAlwaysLinear: true },
  { name: 'coverage', title: 'Coverage', unit: higher, isAlwaysLinear: true },
  { name: 'nearestMedian', title: 'Nearest training image, median', unit: 'distance, near 0: a copy' },
  { name: 'nearestMin', title: 'Nearest training image, least', unit: 'distance, near 0: a copy' },
  { name: 'copies', title: 'Copies of training images', unit: `share, ${lower}`, isAlwaysLinear: true },
  { name: 'swd', title: 'Sliced Wasserstein distance', unit: `data units, ${lower}` },
  { name: 'mmd', title: 'MMD²', unit: lower, isAlwaysLinear: true },
];

/** Keys that say where one is, and are no curves. */
const hidden = /^(Progress\/|timestamp$|Timing\/total_sec|Resources\/peak_gpu|Target\/drawn\/)/;

/** The charts that some statistics allow, in the order in which one reads them. */
export function chartGroups(keys: readonly string[]): ChartGroup[] {
  const used = new Set<string>();
  const pick = (pattern: RegExp): string[] => {
    const found = keys.filter((key) => pattern.test(key) && !used.has(key));
    for (const key of found) used.add(key);
    return found;
  };
  const single = (
    pattern: RegExp,
    title: string,
    unit: string,
    more: { label?: string; transform?: (value: number) => number } = {},
  ): ChartSpec[] =>
    pick(pattern).map((key) => {
      const { label = title.toLowerCase(), ...rest } = more;
      return { id: key, title, unit, lines: [{ key, label, ...main }], size: 'half', ...rest };
    });

  const training = [
    ...single(/^Loss\/loss$/, 'Loss', 'per data value, mean of a tick'),
    ...single(/noise_scale$/i, 'Gradient noise scale', 'images'),
    ...single(/^Optimizer\/gradient_norm$/, 'Gradient norm', 'mean of a tick'),
    ...single(/^Timing\/sec_per_kimg$/, 'Rate', 'images a second', { transform: (value) => 1000 / value }),
    ...single(/^Optimizer\/learning_rate$/, 'Learning rate', 'of Adam'),
  ];
  const evaluation = measured.flatMap(({ name, title, ...rest }): ChartSpec[] =>
    pick(name === 'fid' ? /(?:^|\/)fid(?![a-z])/i : new RegExp(`^Metrics/${name}$`)).map((key) => {
      const lines = [{ key, label: title, ...main }];
      return { id: key, title, ...rest, lines, isMeasured: true, size: 'third' };
    }),
  );
  const perRange = (prefix: RegExp, title: string, unit: string): ChartSpec[] =>
    ranges.flatMap(([range, words]) => {
      const [key] = pick(new RegExp(`${prefix.source}/${range}$`));
      if (key === undefined) return [];
      return [{ id: key, title: `${title}, ${words}`, unit, lines: [{ key, label: words, ...main }], size: 'third' }];
    });
  const variance: ChartSpec[] = ranges.flatMap(([range, words]) => {
    const lines: Line[] = [
      ...pick(new RegExp(`^Target/dsm_variance/${range}$`)).map((key) => ({
        key,
        label: 'DSM',
        color: 'dsm',
        dash: [4, 3],
      })),
      ...pick(new RegExp(`^Target/stf_variance/${range}$`)).map((key) => ({ key, label: 'STF', color: 'stf' })),
    ];
    if (lines.length === 0) return [];
    return [
      {
        id: `variance-${range}`,
        title: `Variance, ${words}`,
        unit: 'of the target, data units²',
        lines,
        size: 'third',
      },
    ];
  });
  const noise = [
    ...perRange(/^Loss(?:\/loss)?/, 'Loss', 'per data value, mean of a tick'),
    ...variance,
    ...perRange(/^Gradient\/noise_scale/, 'Noise scale', 'of the gradient, images'),
    ...perRange(/^Target\/effective_sources/, 'Effective sources', 'references that share a target'),
  ];
  const machine = [
    ...single(/^Resources\/cpu_mem_gb$/, 'Memory', 'GiB'),
    ...single(/^Timing\/maintenance_sec$/, 'Between ticks', 'seconds for checkpoints and pictures'),
  ];
  const others = keys
    .filter((key) => !used.has(key) && !hidden.test(key))
    .sort()
    .map((key): ChartSpec => ({
      id: key,
      title: key,
      unit: '',
      lines: [{ key, label: key, ...main }],
      size: 'third',
      isMeasured: key.startsWith('Metrics/'),
    }));
  return [
    { title: 'Training', charts: training },
    {
      title: 'Evaluation',
      note: 'As stf evaluate has measured it: the best of several seeds, with a bar over all of them.',
      charts: evaluation,
    },
    {
      title: 'By noise level',
      note: 'How much the training targets vary, and from how many references a stable target is made.',
      charts: noise,
    },
    { title: 'Resources', charts: machine },
    { title: 'Everything else', charts: others },
  ].filter(({ charts }) => charts.length > 0);
}
