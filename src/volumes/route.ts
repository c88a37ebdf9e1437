import type { ServerLink } from '../ssh/server-link.ts';

/** How the bytes of a copy travel. */
export type Route = RelayRoute | DirectRoute;

/** Through this process: the two servers need not reach each other. */
export interface RelayRoute {
  readonly mode: 'Relay';
}

/** From server to server, over a connection that one of them has to the other. */
export interface DirectRoute {
  readonly mode: 'Direct';
  /** Which end of the copy is the server that dialled. */
  readonly direction: Direction;
  readonly link: ServerLink;
  /** What to do when the connection breaks or cannot be used: go on through this process, or fail. */
  readonly otherwise: 'Relay' | 'Fail';
  /** The copy goes on through this process, and why. Nothing of it runs on the servers any more. */
  readonly onFallback?: (reason: string) => void;
  readonly onJob?: (news: JobNews) => void;
}

export type Direction = 'SourceToTarget' | 'TargetToSource';

/** A copy runs on a server by itself; times in ms by the clock here. */
export interface JobNews {
  readonly name: string;
  readonly server: string;
  readonly state: 'Running' | 'Succeeded' | 'Failed';
  readonly startTime: number;
  readonly endTime?: number;
  readonly exitCode?: number;
}

export const relayRoute: RelayRoute = { mode: 'Relay' };

/** The same way for a copy from target to source. */
export function reverseRoute(route: Route): Route {
  if (route.mode === 'Relay') return route;
  return { ...route, direction: route.direction === 'SourceToTarget' ? 'TargetToSource' : 'SourceToTarget' };
}
