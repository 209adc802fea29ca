/** A number c + k N. */
export interface Affine {
  readonly constant: number;
  readonly perSample: number;
}

/** The law of one number, given at every batch size; undefined when it is none of these. */
function affine(values: readonly number[], sizes: readonly number[]): Affine | undefined {
  const perSample = (values[1] - values[0]) / (sizes[1] - sizes[0]);
  const constant = values[0] - perSample * sizes[0];
  const holds = Number.isInteger(perSample) && values.every((value, i) => value === constant + perSample * sizes[i]);
  return holds ? { constant, perSample } : undefined;
}

/** The laws of rows of numbers, one row a batch size; undefined when the rows do not fit together. */
export function affineRow(rows: readonly (readonly number[])[], sizes: readonly number[]): Affine[] | undefined {
  if (rows.some((row) => row.length !== rows[0].length)) return undefined;
  const laws = rows[0].map((_, at) =>
    affine(
      rows.map((row) => row[at]),
      sizes,
    ),
  );
  return laws.every((law) => law !== undefined) ? laws : undefined;
}

export const isFixed = ({ perSample }: Affine): boolean => perSample === 0;
