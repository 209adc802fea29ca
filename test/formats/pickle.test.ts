import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { deepestPickle, longestPickle, unpickle } from '../../src/formats/pickle.ts';
import { torchGlobals } from '../../src/formats/torch-pickle.ts';
import { readTorchCheckpoint } from '../../src/formats/torch-module.ts';

/** One dict, written by CPython 3.11 with protocols 0 to 5. */
const written = [
  'KGRwMApWbm9uZQpwMQpOc1Z5ZXMKcDIKSTAxCnNWbm8KcDMKSTAwCnNWc21hbGwKcDQKSTcKc1ZuZWdhdGl2ZQpwNQpJLTUKc1Z3aWRlCnA2Ckk3MDAwMApzVmxvbmcKcDcKTDEwOTk1MTE2Mjc3NzZMCnNWZXhhY3QKcDgKTDkwMDcxOTkyNTQ3NDA5OTFMCnNWaHVnZQpwOQpMLTExODA1OTE2MjA3MTc0MTEzMDM0MjRMCnNWZmxvYXQKcDEwCkYwLjEKc1ZpbmYKcDExCkZpbmYKc1Z0ZXh0CnAxMgpWYSdiImNcdTAwNWMgXHUwMDBhIOkgXHUyMGFjIFxVMDAwMWY2MDAKcDEzCnNWYnl0ZXMKcDE0CmNfY29kZWNzCmVuY29kZQpwMTUKKFZcdTAwMDABf4D/CnAxNgpWbGF0aW4xCnAxNwp0cDE4ClJwMTkKc1ZsaXN0CnAyMAoobHAyMQpJMQphKGxwMjIKSTIKYShscDIzCmFhc1Z0dXBsZQpwMjQKKEkxCkkyCkkzCkk0CnRwMjUKc1Z0cmlwbGVzCnAyNgooKHQoSTEKdHAyNwooSTEKSTIKdHAyOAooSTEKSTIKSTMKdHAyOQp0cDMwCnNWZGljdApwMzEKKGRwMzIKSTEKVmEKcDMzCnNWYgpwMzQKKGRwMzUKc3NWc2V0CnAzNgpjX19idWlsdGluX18Kc2V0CnAzNwooKGxwMzgKVngKcDM5CmF0cDQwClJwNDEKc1ZzaGFyZWQKcDQyCihscDQzCihscDQ0CkkxCmFhZzQ0CmFzVm9yZGVyZWQKcDQ1CmNjb2xsZWN0aW9ucwpPcmRlcmVkRGljdApwNDYKKHRScDQ3ClZ6CnA0OApJMQpzZzMzCkkyCnNzLg==',
  'fXEAKFgEAAAAbm9uZXEBTlgDAAAAeWVzcQJJMDEKWAIAAABub3EDSTAwClgFAAAAc21hbGxxBEsHWAgAAABuZWdhdGl2ZXEFSvv///9YBAAAAHdpZGVxBkpwEQEAWAQAAABsb25ncQdMMTA5OTUxMTYyNzc3NkwKWAUAAABleGFjdHEITDkwMDcxOTkyNTQ3NDA5OTFMClgEAAAAaHVnZXEJTC0xMTgwNTkxNjIwNzE3NDExMzAzNDI0TApYBQAAAGZsb2F0cQpHP7mZmZmZmZpYAwAAAGluZnELR3/wAAAAAAAAWAQAAAB0ZXh0cQxYFAAAAGEnYiJjXCAKIMOpIOKCrCDwn5iAcQ1YBQAAAGJ5dGVzcQ5jX2NvZGVjcwplbmNvZGUKcQ8oWAcAAAAAAX/CgMO/cRBYBgAAAGxhdGluMXERdHESUnETWAQAAABsaXN0cRRdcRUoSwFdcRYoSwJdcRdlZVgFAAAAdHVwbGVxGChLAUsCSwNLBHRxGVgHAAAAdHJpcGxlc3EaKCkoSwF0cRsoSwFLAnRxHChLAUsCSwN0cR10cR5YBAAAAGRpY3RxH31xIChLAVgBAAAAYXEhWAEAAABicSJ9cSN1WAMAAABzZXRxJGNfX2J1aWx0aW5fXwpzZXQKcSUoXXEmWAEAAAB4cSdhdHEoUnEpWAYAAABzaGFyZWRxKl1xKyhdcSxLAWFoLGVYBwAAAG9yZGVyZWRxLWNjb2xsZWN0aW9ucwpPcmRlcmVkRGljdApxLilScS8oWAEAAAB6cTBLAWghSwJ1dS4=',
  'gAJ9cQAoWAQAAABub25lcQFOWAMAAAB5ZXNxAohYAgAAAG5vcQOJWAUAAABzbWFsbHEESwdYCAAAAG5lZ2F0aXZlcQVK+////1gEAAAAd2lkZXEGSnARAQBYBAAAAGxvbmdxB4oGAAAAAAABWAUAAABleGFjdHEIigf///////8fWAQAAABodWdlcQmKCQAAAAAAAAAAwFgFAAAAZmxvYXRxCkc/uZmZmZmZmlgDAAAAaW5mcQtHf/AAAAAAAABYBAAAAHRleHRxDFgUAAAAYSdiImNcIAogw6kg4oKsIPCfmIBxDVgFAAAAYnl0ZXNxDmNfY29kZWNzCmVuY29kZQpxD1gHAAAAAAF/woDDv3EQWAYAAABsYXRpbjFxEYZxElJxE1gEAAAAbGlzdHEUXXEVKEsBXXEWKEsCXXEXZWVYBQAAAHR1cGxlcRgoSwFLAksDSwR0cRlYBwAAAHRyaXBsZXNxGigpSwGFcRtLAUsChnEcSwFLAksDh3EddHEeWAQAAABkaWN0cR99cSAoSwFYAQAAAGFxIVgBAAAAYnEifXEjdVgDAAAAc2V0cSRjX19idWlsdGluX18Kc2V0CnElXXEmWAEAAAB4cSdhhXEoUnEpWAYAAABzaGFyZWRxKl1xKyhdcSxLAWFoLGVYBwAAAG9yZGVyZWRxLWNjb2xsZWN0aW9ucwpPcmRlcmVkRGljdApxLilScS8oWAEAAAB6cTBLAWghSwJ1dS4=',
  'gAN9cQAoWAQAAABub25lcQFOWAMAAAB5ZXNxAohYAgAAAG5vcQOJWAUAAABzbWFsbHEESwdYCAAAAG5lZ2F0aXZlcQVK+////1gEAAAAd2lkZXEGSnARAQBYBAAAAGxvbmdxB4oGAAAAAAABWAUAAABleGFjdHEIigf///////8fWAQAAABodWdlcQmKCQAAAAAAAAAAwFgFAAAAZmxvYXRxCkc/uZmZmZmZmlgDAAAAaW5mcQtHf/AAAAAAAABYBAAAAHRleHRxDFgUAAAAYSdiImNcIAogw6kg4oKsIPCfmIBxDVgFAAAAYnl0ZXNxDkMFAAF/gP9xD1gEAAAAbGlzdHEQXXERKEsBXXESKEsCXXETZWVYBQAAAHR1cGxlcRQoSwFLAksDSwR0cRVYBwAAAHRyaXBsZXNxFigpSwGFcRdLAUsChnEYSwFLAksDh3EZdHEaWAQAAABkaWN0cRt9cRwoSwFYAQAAAGFxHVgBAAAAYnEefXEfdVgDAAAAc2V0cSBjYnVpbHRpbnMKc2V0CnEhXXEiWAEAAAB4cSNhhXEkUnElWAYAAABzaGFyZWRxJl1xJyhdcShLAWFoKGVYBwAAAG9yZGVyZWRxKWNjb2xsZWN0aW9ucwpPcmRlcmVkRGljdApxKilScSsoWAEAAAB6cSxLAWgdSwJ1dS4=',
  'gASVeAEAAAAAAAB9lCiMBG5vbmWUTowDeWVzlIiMAm5vlImMBXNtYWxslEsHjAhuZWdhdGl2ZZRK+////4wEd2lkZZRKcBEBAIwEbG9uZ5SKBgAAAAAAAYwFZXhhY3SUigf///////8fjARodWdllIoJAAAAAAAAAADAjAVmbG9hdJRHP7mZmZmZmZqMA2luZpRHf/AAAAAAAACMBHRleHSUjBRhJ2IiY1wgCiDDqSDigqwg8J+YgJSMBWJ5dGVzlEMFAAF/gP+UjARsaXN0lF2UKEsBXZQoSwJdlGVljAV0dXBsZZQoSwFLAksDSwR0lIwHdHJpcGxlc5QoKUsBhZRLAUsChpRLAUsCSwOHlHSUjARkaWN0lH2UKEsBjAFhlIwBYpR9lHWMA3NldJSPlCiMAXiUkIwGc2hhcmVklF2UKF2USwFhaCVljAdvcmRlcmVklIwLY29sbGVjdGlvbnOUjAtPcmRlcmVkRGljdJSTlClSlCiMAXqUSwFoHUsCdXUu',
  'gAWVeAEAAAAAAAB9lCiMBG5vbmWUTowDeWVzlIiMAm5vlImMBXNtYWxslEsHjAhuZWdhdGl2ZZRK+////4wEd2lkZZRKcBEBAIwEbG9uZ5SKBgAAAAAAAYwFZXhhY3SUigf///////8fjARodWdllIoJAAAAAAAAAADAjAVmbG9hdJRHP7mZmZmZmZqMA2luZpRHf/AAAAAAAACMBHRleHSUjBRhJ2IiY1wgCiDDqSDigqwg8J+YgJSMBWJ5dGVzlEMFAAF/gP+UjARsaXN0lF2UKEsBXZQoSwJdlGVljAV0dXBsZZQoSwFLAksDSwR0lIwHdHJpcGxlc5QoKUsBhZRLAUsChpRLAUsCSwOHlHSUjARkaWN0lH2UKEsBjAFhlIwBYpR9lHWMA3NldJSPlCiMAXiUkIwGc2hhcmVklF2UKF2USwFhaCVljAdvcmRlcmVklIwLY29sbGVjdGlvbnOUjAtPcmRlcmVkRGljdJSTlClSlCiMAXqUSwFoHUsCdXUu',
];

const bytesOf = (...parts: (string | number | readonly number[] | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) => {
      if (typeof part === 'number') return [part];
      return typeof part === 'string' ? Array.from(part, (each) => each.charCodeAt(0)) : Array.from(part);
    }),
  );

const read = (bytes: Uint8Array): unknown => unpickle(bytes, { globals: torchGlobals() }).value;

/** What is thrown; anything but a FormatError fails the test. */
function refusal(bytes: Uint8Array, reader: (bytes: Uint8Array) => unknown = read): string {
  try {
    reader(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return (error as Error).message;
  }
  throw new Error('it was read');
}

/** Little-endian number of eight bytes. */
const uint64 = (value: bigint): number[] =>
  Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));

describe('values', () => {
  // The oracle: what CPython 3.11 wrote with pickle.dumps(value, protocol), protocols 0 to 5.
  test.each(written.map((text, protocol) => [protocol, text] as const))('protocol %i', (_, text) => {
    const bytes = Buffer.from(text, 'base64');
    const { value, end } = unpickle(bytes, { globals: torchGlobals() });
    expect(end).toBe(bytes.length);
    const dict = value as Map<string, unknown>;
    const bytesValue = dict.get('bytes') as Uint8Array;
    expect([...bytesValue]).toEqual([0, 1, 127, 128, 255]);
    dict.delete('bytes');
    expect(Object.fromEntries(dict)).toEqual({
      none: null,
      yes: true,
      no: false,
      small: 7,
      negative: -5,
      wide: 70_000,
      long: 2 ** 40,
      exact: Number.MAX_SAFE_INTEGER,
      huge: -(2n ** 70n),
      float: 0.1,
      inf: Infinity,
      text: `a'b"c\\ \n é € 😀`,
      list: [1, [2, []]],
      tuple: [1, 2, 3, 4],
      triples: [[], [1], [1, 2], [1, 2, 3]],
      dict: new Map<unknown, unknown>([
        [1, 'a'],
        ['b', new Map()],
      ]),
      set: new Set(['x']),
      shared: [[1], [1]],
      ordered: new Map([
        ['z', 1],
        ['a', 2],
      ]),
    });
    const [first, second] = dict.get('shared') as unknown[];
    expect(first).toBe(second);
  });

  test.each<[string, Uint8Array, unknown]>([
    ['a text of Python 2', bytesOf('U', 2, [0x61, 0xff], '.'), 'aÿ'],
    ['a quoted text', bytesOf("S'a\\n\\x41\\101\\\\'\n."), 'a\nAA\\'],
    ['a long of no bytes', bytesOf(0x8a, 0, '.'), 0],
    ['a negative long', bytesOf(0x8a, 1, 0xff, '.'), -1],
    ['a value that is dropped', bytesOf('K', 1, 'K', 2, '0.'), 1],
    ['a mark that is dropped', bytesOf('K', 1, '(K', 2, '1.'), 1],
  ])('%s', (_, bytes, value) => {
    expect(read(bytes)).toEqual(value);
  });
});

describe('names', () => {
  test.each<[string, Uint8Array]>([
    ['GLOBAL and REDUCE', bytesOf('cos\nsystem\n(X', [4, 0, 0, 0], 'true', 'tR.')],
    ['STACK_GLOBAL', bytesOf(0x80, 4, 0x8c, 2, 'os', 0x8c, 6, 'system', 0x93, 0x8c, 4, 'true', 0x85, 'R.')],
    ['INST', bytesOf('(X', [4, 0, 0, 0], 'trueios\nsystem\n.')],
    ['OBJ', bytesOf('(cos\nsystem\nX', [4, 0, 0, 0], 'trueo.')],
    ['NEWOBJ', bytesOf(0x80, 2, 'cos\nsystem\n)', 0x81, '.')],
  ])('os.system by %s is refused by name and place', (_, bytes) => {
    expect(refusal(bytes)).toMatch(/^pickle: at byte \d+: the pickle asks for "os\.system", which is not on the list/);
    expect(refusal(bytes, readTorchCheckpoint)).toMatch(/"os\.system"/);
  });

  test.each([
    'builtins.eval',
    'builtins.getattr',
    'posix.system',
    'subprocess.Popen',
    '__main__.Net',
    'torch.load',
    'x.constructor',
    '.__proto__',
  ])('%s is refused', (name) => {
    const [, module, last] = /^(.*)\.(\w+)$/.exec(name)!;
    expect(refusal(bytesOf(`c${module}\n${last}\n.`))).toContain(JSON.stringify(name));
  });

  test('a list of names is all there is: a value can not be called', () => {
    expect(refusal(bytesOf('K', 1, ')R.'))).toMatch(/the number 1 is called/);
    expect(refusal(bytesOf('})R.'))).toMatch(/a dict is called/);
    expect(refusal(bytesOf('ctorch\nFloatStorage\n)R.'))).toMatch(/torch\.FloatStorage can't be called/);
  });

  test('names by number, outside buffers and unknown operations are refused', () => {
    expect(refusal(bytesOf(0x82, 1, '.'))).toMatch(/EXT1/);
    expect(refusal(bytesOf(0x97, '.'))).toMatch(/buffer outside/);
    expect(refusal(bytesOf(0xff))).toMatch(/at byte 0: unknown operation 0xff/);
    expect(refusal(bytesOf(0x80, 6, 'N.'))).toMatch(/protocol 6/);
    expect(refusal(bytesOf('NQ.'))).toMatch(/outside of the pickle/);
  });
});

/** Most memory that a refused file of some bytes may take for good or in passing, as the process shows it. */
const mostMemory = 64 * 2 ** 20;

function memory(): number {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

describe('lengths', () => {
  const huge = uint64(2n ** 60n);
  test.each<[string, Uint8Array]>([
    ['a text', bytesOf(0x80, 4, 0x8d, huge, 'abc.')],
    ['bytes', bytesOf(0x80, 4, 0x8e, huge, 'abc.')],
    ['a byte array', bytesOf(0x80, 5, 0x96, huge, 'abc.')],
    ['a frame', bytesOf(0x80, 4, 0x95, huge, 'N.')],
    ['a text of 4 GB', bytesOf('X', [255, 255, 255, 255], 'abc.')],
    ['a text of -1 bytes', bytesOf('T', [255, 255, 255, 255], 'abc.')],
  ])('%s beyond the file is refused before it is made', (_, bytes) => {
    const before = memory();
    expect(refusal(bytes)).toMatch(
      /at byte \d+: (1152921504606846976|4294967295|-1) bytes should follow, but \d+ bytes remain/,
    );
    expect(memory() - before).toBeLessThan(mostMemory);
  });

  test('integers that take quadratic time are refused', () => {
    expect(refusal(bytesOf(0x8b, [255, 255, 255, 127], 'abc.'))).toMatch(
      /an integer of 2147483647 bytes, at most 1024/,
    );
    expect(refusal(bytesOf(0x8b, [255, 255, 255, 255], 'abc.'))).toMatch(/an integer of -1 bytes/);
    expect(refusal(bytesOf('L', '9'.repeat(100_000), 'L\n.'))).toMatch(/a line of 100001 bytes/);
  });
});

describe('depth', () => {
  const levels = 10_000;
  const many = (part: string | number): number[] => Array.from({ length: levels }, () => bytesOf(part)[0]);
  test.each<[string, Uint8Array]>([
    ['marks', bytesOf(many('('), 'N.')],
    ['lists in one another', bytesOf(many(']'), many('a'), '.')],
    ['tuples of one', bytesOf(')', many(0x85), '.')],
    ['dicts', bytesOf(Array.from({ length: levels }, () => [...bytesOf('}K', 0)]).flat(), '}', many('s'), '.')],
    [
      'calls',
      bytesOf(
        Array.from({ length: levels }, () => [...bytesOf('cbuiltins\nlist\n')]).flat(),
        ')',
        Array.from({ length: levels }, () => [0x85, 0x52]).flat(),
        '.',
      ),
    ],
  ])('10 000 levels of %s are refused', (_, bytes) => {
    expect(refusal(bytes)).toMatch(new RegExp(`at byte \\d+: nested more than ${deepestPickle} levels deep`));
  });

  test('half the limit is read', () => {
    const half = deepestPickle / 2;
    let value = read(bytesOf(many(']').slice(0, half), many('a').slice(1, half), '.'));
    let depth = 0;
    for (; Array.isArray(value); value = value[0] as unknown) depth += 1;
    expect(depth).toBe(half);
  });

  test('a list that holds itself is read', () => {
    const list = read(bytesOf(']q', 0, 'h', 0, 'a.')) as unknown[];
    expect(list[0]).toBe(list);
  });
});

describe('a small file can not ask for much', () => {
  test('operations are counted', { timeout: 20_000 }, () => {
    const bytes = new Uint8Array(longestPickle + 10).fill(0x4e);
    expect(refusal(bytes)).toMatch(`at byte ${longestPickle}: more than ${longestPickle} operations`);
  });

  test('the same text made into bytes again and again is made once', () => {
    const text = 'x'.repeat(100_000);
    const once = bytesOf('h', 1, 'h', 0, 'h', 2, 0x86, 'R0');
    const times = 20_000; // 2 GB otherwise
    const bytes = bytesOf(
      ...['X', [0xa0, 0x86, 1, 0], text, 'q', 0, '0c_codecs\nencode\nq', 1, '0X', [6, 0, 0, 0], 'latin1q', 2, '0'],
      ...[Array.from({ length: times }, () => [...once]).flat(), 'N.'],
    );
    const before = memory();
    expect(read(bytes)).toBe(null);
    expect(memory() - before).toBeLessThan(mostMemory);
  });

  test('copies of a long list are counted', () => {
    const items = Array.from({ length: 100_000 }, () => 0x4e);
    const once = bytesOf('h', 1, 'h', 0, 0x85, 'R0');
    const bytes = bytesOf(
      ...['(', items, 'lq', 0, '0cbuiltins\nlist\nq', 1, '0'],
      ...[Array.from({ length: 1000 }, () => [...once]).flat(), 'N.'],
    );
    expect(refusal(bytes)).toMatch(/more than 2097152 values are copied/);
  });

  test('a memo entry far away takes no room', () => {
    expect(read(bytesOf('Nr', [255, 255, 255, 255], '.'))).toBe(null);
    expect(refusal(bytesOf('j', [255, 255, 255, 255], '.'))).toMatch(/memo entry 4294967295 was never written/);
  });
});

describe('damage', () => {
  const whole = written.map((text) => new Uint8Array(Buffer.from(text, 'base64')));

  test('every truncation of every protocol is refused', () => {
    for (const bytes of whole) {
      for (let length = 0; length < bytes.length; length++)
        expect(refusal(bytes.subarray(0, length)), `${length} bytes`).toMatch(/^pickle: at byte \d+: /);
    }
  });

  test('random changes give a value or a FormatError, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...whole),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (original, changes) => {
          const bytes = original.slice();
          for (const [place, value] of changes) bytes[place % bytes.length] = value;
          try {
            read(bytes);
          } catch (error) {
            if (!(error instanceof FormatError)) throw error;
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('random bytes give a value or a FormatError, and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          read(bytes);
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }),
      { numRuns: 3000 },
    );
  });
});
