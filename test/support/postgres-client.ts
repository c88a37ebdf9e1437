import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** A session with PostgreSQL over its wire protocol, version 3.0: simple queries only, and no password. */
export interface PostgresSession {
  /**
   * Runs statements as one simple query: one transaction, unless they say otherwise. Answers the rows of all of them, as
   * text. That it resolved means that the server acknowledged it; when it rejects because the connection broke, the
   * server may have committed or not.
   */
  query(sql: string): Promise<(string | null)[][]>;
  close(): void;
}

export interface PostgresAddress {
  readonly host: string;
  readonly port?: number;
  /** For connecting, and for each query. Default 2000. */
  readonly timeoutMs?: number;
}

/** An error that the server itself reported; the connection goes on unless it was fatal. */
export class PostgresError extends Error {
  /** SQLSTATE. */
  readonly code: string;

  constructor(fields: ReadonlyMap<string, string>) {
    super(`${fields.get('S') ?? 'ERROR'} ${fields.get('C') ?? ''}: ${fields.get('M') ?? ''}`);
    this.code = fields.get('C') ?? '';
  }
}

export async function openPostgres({ host, port = 5432, timeoutMs = 2000 }: PostgresAddress): Promise<PostgresSession> {
  const socket = connect({ host, port, noDelay: true });
  socket.on('error', () => undefined);
  const within = <T>(work: Promise<T>): Promise<T> => withDeadline(socket, work, timeoutMs);
  const messages = readMessages(socket);
  try {
    return await within(
      (async () => {
        await once(socket, 'connect');
        socket.write(startup({ user: 'postgres', database: 'postgres', application_name: 'gridferry-test' }));
        await readUntilReady(messages);
        return {
          query(sql) {
            socket.write(message('Q', Buffer.from(`${sql}\0`)));
            return within(readUntilReady(messages));
          },
          close: () => socket.destroy(),
        } satisfies PostgresSession;
      })(),
    );
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function withDeadline<T>(socket: Socket, work: Promise<T>, timeoutMs: number): Promise<T> {
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

interface Message {
  readonly type: string;
  readonly body: Buffer;
}

/** Everything up to ReadyForQuery: the rows, or the error that the server reported. */
async function readUntilReady(messages: AsyncGenerator<Message, void>): Promise<(string | null)[][]> {
  const rows: (string | null)[][] = [];
  let failure: PostgresError | undefined;
  for (;;) {
    const next = await messages.next();
    // A fatal error is followed by the end of the connection.
    if (next.done === true) throw failure ?? new Error('the connection was closed');
    const { type, body } = next.value;
    if (type === 'D') rows.push(readRow(body));
    else if (type === 'E') failure = new PostgresError(readFields(body));
    else if (type === 'R' && body.readInt32BE(0) !== 0) throw new Error('the server asks for a password');
    else if (type === 'Z') {
      if (failure !== undefined) throw failure;
      return rows;
    }
  }
}

async function* readMessages(socket: Socket): AsyncGenerator<Message, void> {
  let pending = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    pending = Buffer.concat([pending, chunk]);
    // One byte for the type, then the length, which counts itself.
    while (pending.length >= 5 && pending.length > pending.readInt32BE(1)) {
      const end = 1 + pending.readInt32BE(1);
      yield { type: String.fromCharCode(pending[0] ?? 0), body: pending.subarray(5, end) };
      pending = pending.subarray(end);
    }
  }
}

function startup(parameters: Readonly<Record<string, string>>): Buffer {
  const text = Object.entries(parameters)
    .flat()
    .map((word) => `${word}\0`)
    .join('');
  const body = Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from(`${text}\0`)]);
  return Buffer.concat([int32(body.length + 4), body]);
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function readRow(body: Buffer): (string | null)[] {
  const row: (string | null)[] = [];
  for (let at = 2; row.length < body.readInt16BE(0);) {
    const length = body.readInt32BE(at);
    at += 4;
    row.push(length < 0 ? null : body.toString('utf8', at, at + length));
    at += Math.max(length, 0);
  }
  return row;
}

/** One letter and a string each, and a zero at the end. */
function readFields(body: Buffer): Map<string, string> {
  const words = body.toString('utf8').split('\0');
  return new Map(words.filter((word) => word !== '').map((word) => [word.slice(0, 1), word.slice(1)]));
}
