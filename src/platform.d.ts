/**
 * The few web-standard globals that Node and every browser share and that the core uses. Declared here because the
 * core compiles without Node's types and without the DOM (tsconfig.core.json), which keeps it browser-safe.
 */
declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(encoding?: string, options?: { fatal?: boolean });
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}
