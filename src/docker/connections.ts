import type { Engine } from './engine.ts';
import { inspectState } from './lifecycle.ts';

/**
 * How many TCP connections from elsewhere are open at these ports of a container. Read from `/proc` of the machine, which
 * any user may. One that cannot be looked at counts as one that is open.
 *
 * Throws `GF_DOCKER_NOT_FOUND`.
 */
export async function countConnections(
  engine: Engine,
  id: string,
  ports: readonly number[],
  signal?: AbortSignal,
): Promise<number> {
  const { running, pid } = await inspectState(engine, id, signal);
  if (!running || pid === 0) return 0;
  // The kernel writes one table for each family; without IPv6 there is no second.
  const { stdout, exitCode } = await engine.host.exec(
    ['sh', '-c', 'cat "/proc/$1/net/tcp" && { cat "/proc/$1/net/tcp6" 2>/dev/null || true; }', 'sh', String(pid)],
    { allowFailure: true, root: engine.host.isRoot, ...(signal === undefined ? {} : { signal }) },
  );
  return exitCode === 0 ? openAt(stdout, ports) : 1;
}

/** States of `/proc/net/tcp` in which something may still have to be received or sent (include/net/tcp_states.h). */
const OPEN: ReadonlySet<string> = new Set(['01', '03', '04', '08', '09', '0B']);

/** As the kernel writes 127.0.0.0/8, and ::1: a container's own health check. */
const LOOPBACK = /^(?:[0-9A-F]{6}7F|0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F)$/;

/** Counts in `/proc/net/tcp` and `/proc/net/tcp6` (Documentation/networking/proc_net_tcp.rst). */
export function openAt(table: string, ports: readonly number[]): number {
  const wanted = new Set(ports);
  return table.split('\n').filter((line) => {
    const [, local = '', remote = '', state = ''] = line.trim().split(/\s+/);
    const port = Number.parseInt(local.split(':')[1] ?? '', 16);
    return wanted.has(port) && OPEN.has(state) && !LOOPBACK.test(remote.split(':')[0] ?? '');
  }).length;
}
