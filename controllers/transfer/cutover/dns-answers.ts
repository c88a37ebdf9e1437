import { getServers } from 'node:dns';
import type { TransferContext } from '../context.ts';

const QUERY_TIMEOUT_MS = 3_000;

/** The addresses that the configured name servers (or this machine's own) answer a name with. */
export async function addressesSeen(context: TransferContext, name: string, type: 'A' | 'AAAA'): Promise<string[]> {
  const servers = context.platform?.spec.resolvers ?? getServers();
  const answers = await context.dataPlane.queryRecord({
    name,
    type,
    servers,
    timeoutMs: QUERY_TIMEOUT_MS,
    signal: context.signal,
    clock: context.clock,
  });
  return answers.flatMap((answer) => (answer.ok ? answer.records.map(({ content }) => content) : []));
}
