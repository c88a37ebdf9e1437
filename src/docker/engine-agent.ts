import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import type { Host } from '../ssh/host.ts';

export interface EngineAgentOptions {
  /** A socket to the Docker API. Must answer at once; the stream may connect later. */
  readonly open: () => Duplex;
  /** How many requests may be under way; long ones (stop, wait, load, logs) each hold one. */
  readonly maxSockets: number;
}

/**
 * An HTTP agent whose sockets are streams to a UNIX socket on another machine.
 *
 * `createConnection` answers synchronously: with the callback form Node counts the socket only once it is connected,
 * `maxSockets` is overrun, and queued requests are never woken.
 */
export function createEngineAgent(options: EngineAgentOptions): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: options.maxSockets, maxFreeSockets: 4, scheduling: 'lifo' });
  Object.defineProperties(agent, {
    createConnection: { value: () => asSocket(options.open()) },
    // docker-modem inspects its options, all levels deep, on every request: an agent leads to every socket there is.
    [inspect.custom]: { value: () => '[engine agent]' },
  });
  return agent;
}

/** Opens the engine's socket on `host`. */
export function hostSocket(host: Host, socketPath: string): () => Duplex {
  return () => host.openSocket(socketPath);
}

/** What `http.Agent` calls on a socket that it keeps or reuses, and a stream over SSH does not have. */
const SOCKET_METHODS = ['setKeepAlive', 'setNoDelay', 'setTimeout', 'ref', 'unref'] as const;

function asSocket(stream: Duplex): Duplex {
  for (const method of SOCKET_METHODS) {
    if (typeof (stream as unknown as Record<string, unknown>)[method] === 'function') continue;
    Object.defineProperty(stream, method, { value: () => stream, configurable: true });
  }
  return stream;
}
