/** Reads SSH's wire form (RFC 4251 §5) from its beginning on; what is missing is an error, never an empty value. */
export interface WireReader {
  byte(): number;
  boolean(): boolean;
  string(): Buffer;
  text(): string;
  /** Whether everything was read. */
  readonly isAtEnd: boolean;
}

/** @throws RangeError when more is read than there is. */
export function readWire(data: Buffer): WireReader {
  let at = 0;
  const byte = (): number => data.readUInt8(at++);
  const string = (): Buffer => {
    const end = at + 4 + data.readUInt32BE(at);
    if (end > data.length) throw new RangeError('a string is cut off');
    const value = data.subarray(at + 4, end);
    at = end;
    return value;
  };
  return {
    byte,
    boolean: () => byte() !== 0,
    string,
    text: () => string().toString('utf8'),
    get isAtEnd() {
      return at === data.length;
    },
  };
}

/** A string in wire form: its length, then its bytes. */
export function wireString(value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([wireNumber(bytes.length), bytes]);
}

export function wireNumber(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
