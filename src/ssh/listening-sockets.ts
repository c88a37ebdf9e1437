import ipaddr from 'ipaddr.js';

/** Where some program of a machine accepts TCP connections. `0.0.0.0` and `::` mean every address. */
export interface ListeningSocket {
  readonly address: string;
  readonly port: number;
}

/**
 * Reads the `local_address` column of /proc/net/tcp and tcp6: `0100007F:1F90`. The address is printed in words of 32 bits
 * in the machine's own byte order, the port in the usual one (Linux, `Documentation/networking/proc_net_tcp.rst`).
 */
export function parseListeningSockets(
  columns: readonly string[],
  byteOrder: 'little' | 'big' = 'little',
): ListeningSocket[] {
  const found = new Map<string, ListeningSocket>();
  for (const column of columns) {
    const match = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/i.exec(column.trim());
    if (match === null) continue;
    const bytes = Buffer.from(match[1] ?? '', 'hex');
    if (byteOrder === 'little') bytes.swap32();
    const address = ipaddr.fromByteArray([...bytes]).toString();
    const port = Number.parseInt(match[2] ?? '', 16);
    found.set(`${address} ${port}`, { address, port });
  }
  return [...found.values()].sort((a, b) => a.port - b.port || a.address.localeCompare(b.address));
}
