import type { Duplex } from 'node:stream';
import type { ManagedServer } from '../../../src/api/resources.ts';
import { sleep } from '../../../src/runtime/clock.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import type { Host } from '../../../src/ssh/host.ts';

/** How long the other server may take to say something, in ms. */
const PATIENCE_MS = 3_000;

/** Whether sshd of a server answers another one. Nobody logs in: its first words are heard, and no more. */
export async function isReachable(
  from: Host,
  { spec }: Readonly<ManagedServer>,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<boolean> {
  if (spec.address === undefined) return false;
  const socket = from.openTcp(spec.address, spec.ssh?.port ?? 22);
  const enough = new AbortController();
  try {
    return await Promise.race([
      saysSsh(socket),
      sleep(clock, PATIENCE_MS, AbortSignal.any([signal, enough.signal])).then(() => false),
    ]);
  } finally {
    enough.abort();
    socket.destroy();
  }
}

function saysSsh(socket: Duplex): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1').startsWith('SSH-')));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
