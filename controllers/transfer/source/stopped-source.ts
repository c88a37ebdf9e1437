import { orUndefined } from '../../../src/docker/engine-error.ts';
import { inspectState } from '../../../src/docker/lifecycle.ts';
import { inspectVolume } from '../../../src/docker/volume-capture.ts';
import { readHostFacts } from '../../../src/ssh/host-facts.ts';
import { publishedPorts } from '../../../src/docker/ports.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import type { TransferContext } from '../context.ts';
import type { LookRefusal } from '../rollback/rollback-outlook.ts';
import { recordedContainers, targetContainers } from './source-containers.ts';
import type { StatusChange } from '../step.ts';

/** Something that has changed on the servers since the move, so that it cannot be brought back. */
export interface InTheWay {
  readonly reason: LookRefusal;
  readonly code: ErrorCode;
  readonly message: string;
}

/** Looks at both servers: is everything as the move left it, and nothing else where the source has to start? */
export async function lookForObstacles(context: TransferContext): Promise<readonly InTheWay[]> {
  const atSource = await sourceObstacles(context);
  // The rest is read from the source's containers.
  if (atSource.length > 0) return atSource;
  return [...(await missingVolumes(context)), ...(await targetObstacles(context)), ...(await takenPorts(context))];
}

/** When Docker last started each of the stopped containers: how a later look knows that somebody started one since. */
export async function noteStopped(context: TransferContext): Promise<StatusChange> {
  const { engine } = await context.session.source(context);
  const seen = new Map<string, string>();
  for (const { id } of recordedContainers(context)) {
    const state = await orUndefined(inspectState(engine, id, context.signal));
    if (state !== undefined && !state.running) seen.set(id, state.startedAt);
  }
  return (status) => {
    for (const container of status.restore?.containers ?? []) {
      const startedAt = seen.get(container.id);
      if (startedAt !== undefined) container.startedAt = startedAt;
    }
  };
}

/** Whether the source's containers are still there, stopped, and untouched since. */
export async function sourceObstacles(context: TransferContext): Promise<readonly InTheWay[]> {
  const { engine } = await context.session.source(context);
  const where = `on server ${context.sourceServer.metadata.name}`;
  const found: InTheWay[] = [];
  for (const recorded of recordedContainers(context)) {
    const state = await orUndefined(inspectState(engine, recorded.id, context.signal));
    if (state === undefined) {
      found.push(gone(`container ${recorded.name} is no longer there ${where}: somebody removed it`));
    } else if (state.name !== recorded.name) {
      found.push(changed(`container ${recorded.name} is called ${state.name} by now ${where}`));
    } else if (state.running || state.paused) {
      found.push(changed(`container ${recorded.name} runs ${where}: somebody started it`));
    } else if (recorded.startedAt !== undefined && state.startedAt !== recorded.startedAt) {
      found.push(changed(`container ${recorded.name} was started and stopped ${where} since the move`));
    } else if (state.restartPolicy.name !== 'no') {
      found.push(changed(`container ${recorded.name} got the restart policy ${state.restartPolicy.name} ${where}`));
    }
  }
  return found;
}

async function missingVolumes(context: TransferContext): Promise<readonly InTheWay[]> {
  const { engine } = await context.session.source(context);
  const { volumes } = await context.session.capture(context);
  const found: InTheWay[] = [];
  for (const { name } of volumes) {
    if ((await orUndefined(inspectVolume(engine, name, context.signal))) !== undefined) continue;
    found.push(gone(`volume ${name} is no longer there on server ${context.sourceServer.metadata.name}`));
  }
  return found;
}

async function targetObstacles(context: TransferContext): Promise<readonly InTheWay[]> {
  const present = new Set((await targetContainers(context)).map(({ name }) => name));
  return recordedContainers(context)
    .filter(({ name }) => !present.has(name))
    .map(({ name }) => ({
      reason: 'TargetGone',
      code: 'GF_TRANSFER_TARGET_GONE',
      message: `container ${name}, which this transfer made on server ${context.targetServer.metadata.name}, is gone: somebody removed or replaced it`,
    }));
}

/** Ports that the source's containers need, and that somebody else has by now. */
async function takenPorts(context: TransferContext): Promise<readonly InTheWay[]> {
  const { host } = await context.session.source(context);
  const { containers } = await context.session.capture(context);
  const wanted = containers
    .filter(({ running }) => running)
    .flatMap((container) => publishedPorts(container).map((port) => ({ name: container.name, ...port })))
    .filter(({ protocol, hostPort }) => protocol === 'tcp' && hostPort !== undefined);
  if (wanted.length === 0) return [];
  const { listeningTcp } = await readHostFacts(host, { signal: context.signal, clock: context.clock });
  const everywhere = (address: string): boolean => ['', '0.0.0.0', '::'].includes(address);
  return wanted
    .filter(({ hostPort, hostAddress }) =>
      listeningTcp.some(
        ({ port, address }) =>
          port === hostPort && (everywhere(address) || everywhere(hostAddress) || address === hostAddress),
      ),
    )
    .map(({ name, hostPort }) => ({
      reason: 'NameOrPortTaken',
      code: 'GF_ROLLBACK_PORT_TAKEN',
      message: `port ${String(hostPort)} of container ${name} is taken on server ${context.sourceServer.metadata.name} by another program or container: free it`,
    }));
}

function gone(message: string): InTheWay {
  return { reason: 'SourceGone', code: 'GF_ROLLBACK_SOURCE_GONE', message };
}

function changed(message: string): InTheWay {
  return { reason: 'SourceChanged', code: 'GF_ROLLBACK_SOURCE_CHANGED', message };
}
