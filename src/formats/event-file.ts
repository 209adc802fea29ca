import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FormatError } from '../errors.ts';
import { crc32c } from './crc32.ts';
import { EventSchema, SessionLog_SessionStatus as SessionStatus } from './event_pb.ts';
import type { Event } from './event_pb.ts';

/*
 * The event files that TensorBoard reads: messages one behind the other, each framed as a record of TFRecord: its length in
 * 64 bits, the checksum of these 8 bytes, the message, and its checksum. Source: tensorflow/core/lib/io/record_writer.h and
 * tensorflow/core/util/event.proto.
 */

/** When something was: seconds since 1970, and the place on TensorBoard's horizontal axis, a whole number. */
export interface EventTime {
  readonly wallTime: number;
  readonly step: number;
}

/** A picture of an event: a PNG file, and what it says of itself. */
export interface EventImage {
  readonly width: number;
  readonly height: number;
  /** 1: grey, 3: red, green, blue, 2 and 4: with alpha */
  readonly channels: 1 | 2 | 3 | 4;
  readonly png: Uint8Array;
}

/** What an event file holds, in its order. */
export type FileEvent = EventTime & {
  /** Numbers by tag. */
  readonly scalars: ReadonlyMap<string, number>;
  /** Pictures by tag. */
  readonly images: ReadonlyMap<string, EventImage>;
  /** True where a program began to write at this step: what other files say of it and of later ones does not count. */
  readonly isStart: boolean;
};

/** What every event file begins with. */
const fileVersion = 'brain.Event:2';

/**
 * A checksum that does not come out as 0 behind data that hold checksums themselves: turned by 15 bits, and a number added.
 * Source: tensorflow/core/lib/hash/crc32c.h.
 */
function maskedChecksum(bytes: Uint8Array): number {
  const checksum = crc32c(bytes);
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;
}

/** Bytes of a record beside its message: length, its checksum, and the message's. */
const frame = { length: 8, head: 12, tail: 4 } as const;

function recordOf(event: Event): Uint8Array {
  const message = toBinary(EventSchema, event);
  const record = new Uint8Array(frame.head + message.length + frame.tail);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(message.length), true);
  view.setUint32(frame.length, maskedChecksum(record.subarray(0, frame.length)), true);
  record.set(message, frame.head);
  view.setUint32(frame.head + message.length, maskedChecksum(message), true);
  return record;
}

const eventAt = ({ wallTime, step }: EventTime, what: Event['what']): Event =>
  create(EventSchema, { wallTime, step: BigInt(step), what });

/**
 * What an event file begins with.
 *
 * @param start  the first step that this file tells of, where there are files before it: TensorBoard forgets what they say
 *               of this step and of later ones
 */
export function eventFileStart(wallTime: number, start?: number): Uint8Array {
  const version = recordOf(eventAt({ wallTime, step: 0 }, { case: 'fileVersion', value: fileVersion }));
  if (start === undefined) return version;
  const value = { $typeName: 'tensorflow.SessionLog', status: SessionStatus.START } as const;
  const session = recordOf(eventAt({ wallTime, step: start }, { case: 'sessionLog', value }));
  const both = new Uint8Array(version.length + session.length);
  both.set(version);
  both.set(session, version.length);
  return both;
}

/** A record with numbers by tag, which TensorBoard keeps as float32. */
export function scalarsRecord(time: EventTime, scalars: Iterable<readonly [tag: string, value: number]>): Uint8Array {
  const value = Array.from(scalars, ([tag, simpleValue]) => ({
    $typeName: 'tensorflow.Summary.Value' as const,
    tag,
    value: { case: 'simpleValue' as const, value: Math.fround(simpleValue) },
  }));
  return recordOf(eventAt(time, { case: 'summary', value: { $typeName: 'tensorflow.Summary', value } }));
}

/** A record with one picture. */
export function imageRecord(time: EventTime, tag: string, { width, height, channels, png }: EventImage): Uint8Array {
  const image = {
    $typeName: 'tensorflow.Summary.Image' as const,
    ...{ width, height, colorspace: channels, encodedImageString: png },
  };
  const value = {
    $typeName: 'tensorflow.Summary.Value' as const,
    ...{ tag, value: { case: 'image' as const, value: image } },
  };
  return recordOf(eventAt(time, { case: 'summary', value: { $typeName: 'tensorflow.Summary', value: [value] } }));
}

/**
 * Reads an event file that holds scalars and images in the form above; what else there is in it is passed over. A last
 * record that was cut off, as by a crash, is left out.
 *
 * @param name  what it is, for messages
 * @throws FormatError for a record that is altered or no event, and for a file of another version
 */
export function readEventFile(bytes: Uint8Array, name: string): FileEvent[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const events: FileEvent[] = [];
  for (let at = 0; bytes.length - at >= frame.head;) {
    const fail = (what: string): never => {
      throw new FormatError(`${name}: the record at byte ${at} ${what}`);
    };
    if (view.getUint32(at + frame.length, true) !== maskedChecksum(bytes.subarray(at, at + frame.length)))
      fail('has no length with the right checksum; damaged, or no event file?');
    const length = view.getBigUint64(at, true);
    const start = at + frame.head;
    if (length > BigInt(Math.max(bytes.length - start - frame.tail, 0))) break;
    const end = start + Number(length);
    const message = bytes.subarray(start, end);
    if (view.getUint32(end, true) !== maskedChecksum(message)) fail('is altered: its checksum differs');
    const event = messageOf(message, fail);
    if (at === 0 && (event.what.case !== 'fileVersion' || event.what.value !== fileVersion))
      fail(`should say "${fileVersion}"; no event file, or of another version?`);
    events.push(plainEvent(event, fail));
    at = end + frame.tail;
  }
  return events;
}

function messageOf(message: Uint8Array, fail: (what: string) => never): Event {
  try {
    return fromBinary(EventSchema, message, { readUnknownFields: false });
  } catch (error) {
    return fail(`is no event: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const isChannels = (count: number): count is EventImage['channels'] => [1, 2, 3, 4].includes(count);

function plainEvent({ wallTime, step, what }: Event, fail: (what: string) => never): FileEvent {
  if (step < 0n || step > BigInt(Number.MAX_SAFE_INTEGER)) fail(`is of step ${step}`);
  const scalars = new Map<string, number>();
  const images = new Map<string, EventImage>();
  for (const { tag, value } of what.case === 'summary' ? what.value.value : []) {
    if (value.case === 'simpleValue') scalars.set(tag, value.value);
    if (value.case !== 'image') continue;
    const { width, height, colorspace: channels, encodedImageString: png } = value.value;
    if (width < 1 || height < 1) fail(`has a picture of ${width} x ${height} pixels`);
    if (isChannels(channels)) images.set(tag, { width, height, channels, png });
  }
  const isStart = what.case === 'sessionLog' && what.value.status === SessionStatus.START;
  return { wallTime, step: Number(step), scalars, images, isStart };
}

/**
 * The events of several files of one run, in the order in which they were written, as TensorBoard sees them: where a
 * program began anew, what was said before of that step and of later ones is left out.
 */
export function eventsOf(files: readonly (readonly FileEvent[])[]): FileEvent[] {
  let events: FileEvent[] = [];
  for (const event of files.flat()) {
    if (event.isStart) events = events.filter(({ step }) => step < event.step);
    events.push(event);
  }
  return events;
}
