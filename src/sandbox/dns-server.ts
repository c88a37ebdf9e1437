import { createSocket } from 'node:dgram';
import { isIPv4, isIPv6 } from 'node:net';

/** A name server for the sandbox: UDP, one question a packet, no recursion. What it answers is the caller's. */

export interface DnsQuestion {
  /** Lower case, without the trailing dot. */
  readonly name: string;
  /** `A`, or `TYPE64` for what this server has no name for. */
  readonly type: string;
}

export interface DnsResource {
  readonly name: string;
  readonly type: 'A' | 'AAAA' | 'CNAME' | 'NS' | 'SOA';
  readonly ttl: number;
  /** An address, a name, or for an SOA the name of the primary server. */
  readonly data: string;
}

export interface DnsAnswer {
  readonly code: 'NOERROR' | 'SERVFAIL' | 'NXDOMAIN' | 'REFUSED';
  readonly answers?: readonly DnsResource[];
  readonly authority?: readonly DnsResource[];
}

export interface DnsServer {
  /** `host:port` */
  readonly address: string;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, number>> = { A: 1, NS: 2, CNAME: 5, SOA: 6, TXT: 16, AAAA: 28 };
const TYPE_NAMES = new Map(Object.entries(TYPES).map(([name, number]) => [number, name]));
const CODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
const HEADER_BYTES = 12;
/** Without EDNS nobody may be sent more (RFC 1035, 2.3.4). */
const MAX_UDP_BYTES = 512;

export async function startDnsServer(options: {
  readonly host: string;
  readonly port: number;
  readonly answer: (question: DnsQuestion) => DnsAnswer;
}): Promise<DnsServer> {
  const socket = createSocket(isIPv6(options.host) ? 'udp6' : 'udp4');
  socket.on('message', (packet, peer) => {
    const reply = answerPacket(packet, options.answer);
    // A peer that is gone is no reason to stop: ICMP errors come back as errors of this send.
    if (reply !== undefined) socket.send(reply, peer.port, peer.address, () => {});
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(options.port, options.host, () => {
      socket.removeListener('error', reject);
      socket.on('error', () => {});
      resolve();
    });
  });
  const { address, port } = socket.address();
  return {
    address: isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

/** The reply to one packet, or nothing for what must not be answered. Never throws, whatever the packet holds. */
export function answerPacket(packet: Buffer, answer: (question: DnsQuestion) => DnsAnswer): Buffer | undefined {
  // A response is never answered: two servers would go on for ever.
  if (packet.length < HEADER_BYTES || (packet.readUInt8(2) & 0x80) !== 0) return undefined;
  const opcode = (packet.readUInt8(2) >> 3) & 0xf;
  if (opcode !== 0) return header(packet, CODES.NOTIMP, [0, 0, 0]);
  const question = packet.readUInt16BE(4) === 1 ? readQuestion(packet) : undefined;
  if (question === undefined) return header(packet, CODES.FORMERR, [0, 0, 0]);

  // Echoed byte for byte: resolvers check the letter case that they sent (draft "0x20").
  const asked = packet.subarray(HEADER_BYTES, question.end);
  try {
    const { code, answers = [], authority = [] } = question.classIn ? answer(question) : { code: 'REFUSED' as const };
    const reply = Buffer.concat([
      header(packet, CODES[code], [1, answers.length, authority.length]),
      asked,
      ...[...answers, ...authority].map(encodeResource),
    ]);
    if (reply.length <= MAX_UDP_BYTES) return reply;
    const cut = header(packet, CODES[code], [1, 0, 0]);
    cut.writeUInt8(cut.readUInt8(2) | 0x02, 2);
    return Buffer.concat([cut, asked]);
  } catch {
    // A record that cannot be encoded is the zone's fault, not the asker's, and must not end the server.
    return Buffer.concat([header(packet, CODES.SERVFAIL, [1, 0, 0]), asked]);
  }
}

interface ReadQuestion extends DnsQuestion {
  readonly classIn: boolean;
  readonly end: number;
}

function readQuestion(packet: Buffer): ReadQuestion | undefined {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (;;) {
    if (at >= packet.length) return undefined;
    const length = packet.readUInt8(at);
    at += 1;
    if (length === 0) break;
    // Above 63 it would be a compression pointer, which has nothing to point to in a question.
    if (length > 63 || at + length > packet.length || at + length - HEADER_BYTES > 255) return undefined;
    labels.push(packet.toString('latin1', at, at + length));
    at += length;
  }
  if (at + 4 > packet.length) return undefined;
  const type = packet.readUInt16BE(at);
  return {
    name: labels.join('.').toLowerCase(),
    type: TYPE_NAMES.get(type) ?? `TYPE${type}`,
    classIn: packet.readUInt16BE(at + 2) === 1,
    end: at + 4,
  };
}

function header(
  query: Buffer,
  code: number,
  [questions, answers, authority]: readonly [number, number, number],
): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  query.copy(bytes, 0, 0, 2);
  // QR and AA set; opcode and "recursion desired" as asked.
  bytes.writeUInt8(0x84 | (query.readUInt8(2) & 0x79), 2);
  bytes.writeUInt8(code, 3);
  bytes.writeUInt16BE(questions, 4);
  bytes.writeUInt16BE(answers, 6);
  bytes.writeUInt16BE(authority, 8);
  return bytes;
}

function encodeResource({ name, type, ttl, data }: DnsResource): Buffer {
  const body = encodeData(type, data);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(TYPES[type] ?? 0, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(body.length, 8);
  return Buffer.concat([encodeName(name), fixed, body]);
}

function encodeData(type: DnsResource['type'], data: string): Buffer {
  if (type === 'A') {
    if (!isIPv4(data)) throw new RangeError('not an IPv4 address');
    return Buffer.from(data.split('.').map(Number));
  }
  if (type === 'AAAA') return encodeIpv6(data);
  if (type !== 'SOA') return encodeName(data);
  const numbers = Buffer.alloc(20);
  // Serial, refresh, retry, expire, and how long "no such name" may be remembered: short, for a sandbox.
  [1, 3600, 600, 86_400, 1].forEach((value, index) => numbers.writeUInt32BE(value, index * 4));
  return Buffer.concat([encodeName(data), encodeName(`hostmaster.${data}`), numbers]);
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.map((label) => {
    const bytes = Buffer.from(label, 'latin1');
    if (bytes.length > 63) throw new RangeError('a label is longer than 63 bytes');
    return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  });
  return Buffer.concat([...parts, Buffer.from([0])]);
}

function encodeIpv6(address: string): Buffer {
  if (!isIPv6(address)) throw new RangeError('not an IPv6 address');
  // The URL parser writes any spelling as hexadecimal groups, a dotted tail included.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => parseInt(group, 16)));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const bytes = Buffer.alloc(16);
  front.forEach((group, index) => bytes.writeUInt16BE(group, index * 2));
  back.forEach((group, index) => bytes.writeUInt16BE(group, (8 - back.length + index) * 2));
  return bytes;
}
