import { dockerCall } from '../../src/docker/api.ts';
import { connectEngine } from '../../src/docker/engine.ts';
import { CONTAINER } from './service.ts';
import { startWriting } from './steady-writer.ts';
import type { Workshop } from './workshop.ts';
import { logIn } from '../../test/support/log-in.ts';

/**
 * How long a restart of the container on its server keeps its clients waiting: from the call to the first acknowledged
 * write, in ms, one figure per round. The call goes straight to the Engine API over a connection that is open already, as
 * it costs the least; the client asks only from the container's start on, as it does in a move.
 */
export async function dockerRestart(workshop: Workshop, rounds: number): Promise<number[]> {
  const { fleet } = workshop;
  const server = fleet.servers.find(({ name }) => name === 'alpha')!;
  const host = await logIn(fleet, server);
  const engine = await connectEngine(host);
  try {
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const started = await workshop.nextStart('alpha', CONTAINER);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const called = performance.now();
      const restart = dockerCall(engine, {
        method: 'POST',
        path: ['containers', CONTAINER, 'restart'],
        doing: 'restart',
      });
      const begun = await started.seen;
      const first = await firstAcknowledged(server.address, begun);
      times.push(first - called);
      await restart;
      started.stop();
    }
    return times;
  } finally {
    engine.close();
    await host.close();
  }
}

/** When a write is acknowledged there for the first time (monotonic). */
async function firstAcknowledged(address: string, since: number): Promise<number> {
  const writer = startWriting(address);
  const { firstAt } = await writer.stop(since);
  return firstAt;
}
