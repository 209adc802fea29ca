import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { crc32c } from '../../src/formats/crc32.ts';
import { eventFileStart, eventsOf, imageRecord, readEventFile, scalarsRecord } from '../../src/formats/event-file.ts';
import { bitwiseCrc32c, seenEvents } from '../support/event-reader.ts';

const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

// RFC 3720, B.4, and the check value of the catalogue of CRC algorithms (CRC-32/ISCSI).
test.each([
  ['123456789', new TextEncoder().encode('123456789'), 0xe3069283],
  ['32 bytes of zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 bytes of ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['32 bytes that count up', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
])('the CRC-32C of %s is the published one, here and in the reader of the tests', (_, bytes, checksum) => {
  expect(crc32c(bytes)).toBe(checksum);
  expect(bitwiseCrc32c(bytes)).toBe(checksum);
});

const png = Uint8Array.of(137, 80, 78, 71);
const image = { width: 7, height: 5, channels: 3, png } as const;
const file = joined(
  eventFileStart(1.5e9),
  scalarsRecord({ wallTime: 1.5e9 + 0.25, step: 3_000_000_000 }, [
    ['Loss/loss', 0.5],
    ['Zero', 0],
    ['Infinite', 1e300],
    ['Nothing', NaN],
  ]),
  imageRecord({ wallTime: 1.5e9 + 1, step: 4000 }, 'samples', image),
);

describe('what is written', () => {
  test('is read by an independent reader', () => {
    const [start, scalars, picture] = seenEvents(file);
    expect(start).toEqual({ time: 1.5e9, step: 0, version: 'brain.Event:2', scalars: {}, images: {} });
    // Steps are 64 bits wide; numbers are float32, in which 1e300 is infinite.
    expect(scalars).toMatchObject({ time: 1.5e9 + 0.25, step: 3_000_000_000 });
    expect(scalars.scalars).toEqual({ 'Loss/loss': 0.5, Zero: 0, Infinite: Infinity, Nothing: NaN });
    expect(picture.step).toBe(4000);
    expect(picture.images.samples).toEqual({ width: 7, height: 5, colorspace: 3, png });
  });

  test('of a run that goes on begins with the step from which it tells', () => {
    const [version, session] = seenEvents(eventFileStart(2, 8001));
    expect(version.version).toBe('brain.Event:2');
    expect(session).toMatchObject({ session: 1, step: 8001 });
  });
});

describe('reading', () => {
  test('gives what was written', () => {
    const [start, scalars, picture] = readEventFile(file, 'events');
    expect(start).toMatchObject({ step: 0, isStart: false });
    expect(scalars.scalars.get('Loss/loss')).toBe(0.5);
    expect(picture.images.get('samples')).toEqual(image);
  });

  test('a last record that was cut off is left out, wherever that was', () => {
    const two = readEventFile(file, 'events').slice(0, 2);
    const last = file.length - imageRecord({ wallTime: 1, step: 4000 }, 'samples', image).length;
    for (let end = last; end < file.length; end++) {
      expect(readEventFile(file.subarray(0, end), 'events'), String(end)).toEqual(two);
      expect(seenEvents(file.subarray(0, end)).length, String(end)).toBe(2);
    }
  });

  test('with any bit changed it is refused, or ends before the change', () => {
    const whole = readEventFile(file, 'events');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: file.length - 1 }), fc.integer({ min: 0, max: 7 }), (at, bit) => {
        const altered = file.slice();
        altered[at] ^= 1 << bit;
        expect(() => readEventFile(altered, 'events')).toThrow(FormatError);
      }),
      { seed: 9 },
    );
    expect(whole.length).toBe(3);
  });

  test('another version, and what is no event file', () => {
    const scalars = scalarsRecord({ wallTime: 1, step: 1 }, [['a', 1]]);
    expect(() => readEventFile(scalars, 'events')).toThrow('events: the record at byte 0 should say "brain.Event:2"');
    expect(() => readEventFile(new TextEncoder().encode('hello, world, hello'), 'events')).toThrow(
      'has no length with the right checksum',
    );
  });
});

test('what was said behind the point where a run goes on is forgotten', () => {
  const at = (step: number, value: number): Uint8Array => scalarsRecord({ wallTime: 1, step }, [['a', value]]);
  const first = readEventFile(joined(eventFileStart(1), at(1000, 1), at(2000, 2), at(3000, 3)), 'first');
  const second = readEventFile(joined(eventFileStart(2, 2001), at(3000, 30), at(4000, 40)), 'second');
  const curve = eventsOf([first, second]).filter(({ scalars }) => scalars.has('a'));
  expect(curve.map(({ step, scalars }) => [step, scalars.get('a')])).toEqual([
    [1000, 1],
    [2000, 2],
    [3000, 30],
    [4000, 40],
  ]);
});
