import type { TransferStatus } from '../../../src/api/resources.ts';
import { messageOf } from '../../../src/errors.ts';
import type { Host } from '../../../src/ssh/host.ts';
import type { ServerLink } from '../../../src/ssh/server-link.ts';
import { relayRoute } from '../../../src/volumes/route.ts';
import type { JobNews, Route } from '../../../src/volumes/route.ts';
import type { TransferContext } from '../context.ts';
import { dialDirection, isNoWay } from './transport.ts';
import { uidOf } from '../work.ts';

/** A connection that was seen this short a time ago is not asked for again, in ms. */
const FRESH_MS = 10_000;

/** As many as a status may list. */
const MOST_JOBS = 20;

/** The way that bytes of one transfer take, as one process knows it. */
export interface RouteSlot {
  /** The recorded way, seen to be open; where it is not, it is opened again, or left for the controller. */
  open(context: TransferContext): Promise<Route>;
  /** The connection was opened a moment ago, by this process, for the first time. */
  isOpen(context: TransferContext, link: ServerLink): Promise<void>;
  /** Puts what happened on the way into a status: the same news, as often as it is asked. */
  tell(status: TransferStatus): void;
  forget(): void;
}

interface Opened {
  readonly source: Host;
  readonly target: Host;
  readonly link: ServerLink;
  seenAt: number;
}

export function createRouteSlot(): RouteSlot {
  let opened: Opened | undefined;
  let opening: Promise<ServerLink | undefined> | undefined;
  let leftBecause: string | undefined;
  let credential: 'Agent' | 'Key' | undefined;
  const jobs = new Map<string, JobNews>();

  async function linkOf(context: TransferContext): Promise<ServerLink | undefined> {
    const { status, dataPlane, clock, transfer, signal } = context;
    const direction = status.transport?.direction ?? 'SourceToTarget';
    const [source, target] = await hostsOf(context);
    const isSame = opened !== undefined && opened.source === source && opened.target === target;
    if (isSame && opened !== undefined && clock.monotonic() - opened.seenAt < FRESH_MS) return opened.link;
    const [dialler, other] = direction === 'SourceToTarget' ? [source, target] : [target, source];
    let link: ServerLink = { id: uidOf({ transfer }), dialler, other };
    try {
      if (!(await dataPlane.isLinkOpen(link, signal))) {
        const again = await dialDirection(context, direction);
        link = again.link;
        credential = again.credential;
      } else if (opened?.link.dialler !== dialler) {
        // Shares of a copy of an earlier process or connection; nobody knows any more which they were.
        await dataPlane.stopPrograms(dialler, link.id, { jobs: 'part-' }, signal);
      }
    } catch (error) {
      if (!isNoWay(error) || transfer.spec.transport === 'Direct') throw error;
      // What an earlier process set to work must not write beside what goes through this one.
      await Promise.all([source, target].map((host) => dataPlane.stopPrograms(host, link.id, {}, signal)));
      leave(context, messageOf(error));
      return undefined;
    }
    opened = { source, target, link, seenAt: clock.monotonic() };
    return link;
  }

  function leave(context: TransferContext, reason: string): void {
    leftBecause = reason;
    opened = undefined;
    context.log.warn({ reason }, 'the direct way is left');
    context.report(() => undefined);
  }

  return {
    async open(context) {
      const { transport } = context.status;
      // Once the credentials were taken away no further one may come to be: nobody would look for it again.
      const isOver = context.status.credentials === undefined;
      if (leftBecause !== undefined || isOver || transport?.mode !== 'Direct') return relayRoute;
      // Copies that begin at the same time share the look.
      opening ??= linkOf(context).finally(() => (opening = undefined));
      const link = await opening;
      if (link === undefined) return relayRoute;
      return {
        mode: 'Direct',
        direction: transport.direction ?? 'SourceToTarget',
        link,
        otherwise: context.transfer.spec.transport === 'Direct' ? 'Fail' : 'Relay',
        onFallback: (reason) => leave(context, reason),
        onJob: (news) => {
          jobs.set(news.name, news);
          context.report(() => undefined);
        },
      };
    },
    async isOpen(context, link) {
      const [source, target] = await hostsOf(context);
      opened = { source, target, link, seenAt: context.clock.monotonic() };
    },
    tell(status) {
      const { transport } = status;
      if (leftBecause !== undefined && transport?.mode === 'Direct') {
        const { direction: _direction, credential: _credential, ...rest } = transport;
        status.transport = { ...rest, mode: 'Relay', reason: `the direct way was left: ${leftBecause}` };
      } else if (credential !== undefined && transport?.mode === 'Direct') {
        status.transport = { ...transport, credential };
      }
      for (const { name, server, state, startTime, endTime, exitCode } of jobs.values()) {
        const job = {
          name,
          server,
          state,
          startTime: new Date(startTime).toISOString(),
          ...(endTime === undefined ? {} : { endTime: new Date(endTime).toISOString() }),
          ...(exitCode === undefined ? {} : { exitCode }),
        };
        status.jobs = [...(status.jobs ?? []).filter((known) => known.name !== name), job].slice(-MOST_JOBS);
      }
    },
    forget() {
      opened = undefined;
      jobs.clear();
    },
  };
}

async function hostsOf(context: TransferContext): Promise<readonly [source: Host, target: Host]> {
  const { session } = context;
  const [source, target] = await Promise.all([session.source(context), session.target(context)]);
  return [source.host, target.host];
}
