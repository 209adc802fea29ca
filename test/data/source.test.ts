import { describe, expect, test } from 'vitest';
import { sourceDataset } from '../../src/data/source.ts';
import { FormatError, ShapeError, UsageError } from '../../src/errors.ts';

const pixels = { length: 3, get: (i: number) => Uint8Array.of(i, 127, 255, 0) };

describe('sourceDataset', () => {
  test('images arrive as values from -1 to 1, or as they are', () => {
    const dataset = sourceDataset({ name: 'own', source: pixels, sampleShape: [1, 2, 2] });
    expect(dataset).toMatchObject({ name: 'own', length: 3, sampleShape: [1, 2, 2], dtype: 'uint8', classes: 0 });
    const bytes = new Uint8Array(6);
    dataset.read(2, bytes, 1);
    expect([...bytes]).toEqual([0, 2, 127, 255, 0, 0]);
    const values = new Float32Array(4);
    dataset.read(2, values, 0);
    expect([...values]).toEqual([2, 127, 255, 0].map((u) => Math.fround(u / 127.5 - 1)));
    expect(dataset.label(0)).toBe(-1);
    expect(() => dataset.read(3, bytes, 0)).toThrow(UsageError);
  });

  test('labels are checked as they are read', () => {
    const labelled = { ...pixels, label: (i: number) => i };
    const dataset = sourceDataset({ name: 'own', source: labelled, sampleShape: [4], classes: 2 });
    expect([0, 1].map((i) => dataset.label(i))).toEqual([0, 1]);
    expect(() => dataset.label(2)).toThrow('label 2 of sample 2 must be from 0 to 1');
    expect(() => sourceDataset({ name: 'own', source: labelled, sampleShape: [4] })).toThrow(UsageError);
    expect(() => sourceDataset({ name: 'own', source: pixels, sampleShape: [4], classes: 2 })).toThrow(UsageError);
  });

  test('samples of another length or type are refused when they come', () => {
    expect(() => sourceDataset({ name: 'own', source: pixels, sampleShape: [5] })).toThrow(ShapeError);
    const mixed = { length: 2, get: (i: number) => (i === 0 ? new Float32Array(2) : new Uint8Array(2)) };
    const dataset = sourceDataset({ name: 'own', source: mixed, sampleShape: [2] });
    expect(() => dataset.read(1, new Float32Array(2), 0)).toThrow(FormatError);
  });
});
