/*
 * An independent reader of TensorBoard's event files: TFRecord frames with a bitwise CRC-32C, and protobuf walked field by
 * field. It shares nothing with the writer.
 */

/** CRC-32C bit by bit: RFC 3720, 12.1. */
export function bitwiseCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

const masked = (bytes: Uint8Array): number => {
  const crc = BigInt(bitwiseCrc32c(bytes));
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn);
};

/** The messages of a file; a frame whose end is missing is left out. */
export function frames(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const messages: Uint8Array[] = [];
  for (let at = 0; at + 12 <= bytes.length;) {
    if (view.getUint32(at + 8, true) !== masked(bytes.subarray(at, at + 8))) throw new Error(`length at ${at}`);
    const end = at + 12 + Number(view.getBigUint64(at, true));
    if (end + 4 > bytes.length) break;
    const message = bytes.subarray(at + 12, end);
    if (view.getUint32(end, true) !== masked(message)) throw new Error(`message at ${at}`);
    messages.push(message);
    at = end + 4;
  }
  return messages;
}

type Field = { number: number; value: bigint | Uint8Array };

/** The fields of a message: integers, and the bytes of everything else. */
export function fields(message: Uint8Array): Field[] {
  const found: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number): Uint8Array => message.subarray(at, (at += length));
  while (at < message.length) {
    const tag = Number(varint());
    const kind = tag & 7;
    const value = kind === 0 ? varint() : kind === 1 ? take(8) : kind === 5 ? take(4) : take(Number(varint()));
    found.push({ number: tag >> 3, value });
  }
  return found;
}

const numberOf = (bytes: Uint8Array): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return bytes.length === 8 ? view.getFloat64(0, true) : view.getFloat32(0, true);
};

export interface SeenEvent {
  time: number;
  step: number;
  version?: string;
  /** SessionLog.status; 1: START */
  session?: number;
  scalars: Record<string, number>;
  images: Record<string, { height: number; width: number; colorspace: number; png: Uint8Array }>;
}

/** The events of a file, by the numbers of their fields in the public schema. */
export function seenEvents(bytes: Uint8Array): SeenEvent[] {
  return frames(bytes).map((message) => {
    const event: SeenEvent = { time: 0, step: 0, scalars: {}, images: {} };
    for (const { number, value } of fields(message)) {
      if (number === 1) event.time = numberOf(value as Uint8Array);
      if (number === 2) event.step = Number(value);
      if (number === 3) event.version = new TextDecoder().decode(value as Uint8Array);
      if (number === 7) event.session = Number(fields(value as Uint8Array).find((each) => each.number === 1)!.value);
      if (number === 5)
        for (const each of fields(value as Uint8Array)) addValue(event, fields(each.value as Uint8Array));
    }
    return event;
  });
}

function addValue(event: SeenEvent, parts: readonly Field[]): void {
  const of = (number: number) => parts.find((each) => each.number === number)?.value;
  const tag = new TextDecoder().decode(of(1) as Uint8Array);
  const scalar = of(2);
  const image = of(4);
  if (scalar instanceof Uint8Array) event.scalars[tag] = numberOf(scalar);
  if (!(image instanceof Uint8Array)) return;
  const inner = new Map(fields(image).map(({ number, value }) => [number, value]));
  event.images[tag] = {
    height: Number(inner.get(1)),
    width: Number(inner.get(2)),
    colorspace: Number(inner.get(3)),
    png: inner.get(4) as Uint8Array,
  };
}

/** What TensorBoard keeps of files read one after another: a START forgets all that is not before its step. */
export function kept(files: readonly Uint8Array[]): SeenEvent[] {
  let events: SeenEvent[] = [];
  for (const event of files.flatMap(seenEvents)) {
    if (event.session === 1) events = events.filter(({ step }) => step < event.step);
    events.push(event);
  }
  return events;
}
