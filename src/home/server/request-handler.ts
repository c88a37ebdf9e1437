import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../runtime/clock.ts';
import type { ResourceType } from '../../api/meta.ts';
import { notFound } from '../api-messages.ts';
import type { LocalHome } from '../local-client.ts';
import { asApiError, failure, json, send, text } from './answer.ts';
import type { Answer } from './answer.ts';
import { createDiscovery } from './discovery.ts';
import { negotiate } from './media-types.ts';
import { createOpenApi } from './openapi.ts';
import { openApiV2 } from './openapi-v2.ts';
import { isWatch, watchRequest } from './query-options.ts';
import { answerResource } from './resource-verbs.ts';
import { answerReview } from './reviews.ts';
import { createRouter, reviewGroups } from './route.ts';
import type { FixedPath, Route } from './route.ts';
import { methodNotAllowed, notServed } from './status-body.ts';
import { includeObjectOf } from './table.ts';
import { versionInfo } from './version-info.ts';
import { streamWatch } from './watch-stream.ts';

export interface RequestHandlerOptions {
  readonly home: LocalHome;
  readonly types: readonly ResourceType[];
  /** Of this program. */
  readonly version: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Throws for who may not ask. */
  readonly guard: (request: IncomingMessage, path: string) => void;
  /** Told each request that changed something, or tried to, after its answer. */
  readonly audit?: (entry: AuditEntry) => void;
  /** How long a watcher may leave its connection full, in ms. */
  readonly drainMs: number;
}

/** A request that was to change something. */
export interface AuditEntry {
  readonly method: string;
  readonly path: string;
  readonly userAgent: string;
  /** Of HTTP. */
  readonly code: number;
}

export interface RequestHandler {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** Ends the watches. */
  readonly endWatches: () => void;
}

/** Everything that the API answers. */
export function createRequestHandler(options: RequestHandlerOptions): RequestHandler {
  const { home, types, clock, random, guard, audit } = options;
  const router = createRouter(types);
  const discovery = createDiscovery(types);
  const openApi = createOpenApi(types, options.version);
  const watches = new Set<AbortController>();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '/', method = 'GET' } = request;
    const mark = url.indexOf('?');
    const path = mark === -1 ? url : url.slice(0, mark);
    const warnings: string[] = [];
    try {
      guard(request, path);
      const route = router(path);
      if (route === undefined) throw notServed();
      const query = new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1));
      if (isWatchOf(route, method, query)) await watch(request, response, route, query);
      else send(request, response, { warnings, ...(await answer(request, route, query, warnings)) });
    } catch (error) {
      if (response.headersSent) response.destroy();
      else send(request, response, { warnings, ...failure(error) }, asApiError(error));
    }
    if (audit !== undefined && method !== 'GET') {
      audit({ method, path, userAgent: request.headers['user-agent'] ?? '', code: response.statusCode });
    }
  }

  async function answer(
    request: IncomingMessage,
    route: Route,
    query: URLSearchParams,
    warnings: string[],
  ): Promise<Answer> {
    if (route.kind === 'openapi-v2') return openApiV2(request, options.version);
    const representation = negotiate(request.headers.accept);
    if (route.kind === 'resource') {
      const view = { type: route.type, representation, includeObject: includeObjectOf(query), clock };
      return await answerResource({ request, query, type: route.type, place: route.place, view, home, warnings });
    }
    if (route.kind === 'no-subresource') throw notFound(route.type, route.name);
    if (route.kind === 'review') {
      if (request.method !== 'POST') throw methodNotAllowed();
      return json(await answerReview(request, route.group, route.plural, clock.now()), 201);
    }
    if (request.method !== 'GET') throw methodNotAllowed();
    switch (route.kind) {
      case 'group':
        return found(discovery.group(route.group));
      case 'version':
        return found(discovery.version(route.group));
      case 'openapi': {
        const body = openApi.document(route.group, route.version);
        if (body === undefined) throw notServed();
        return { code: 200, body, contentType: 'application/json' };
      }
      case 'fixed':
        return fixed(route.path, representation);
    }
  }

  function fixed(path: FixedPath, representation: ReturnType<typeof negotiate>): Answer {
    switch (path) {
      case '/api':
      case '/apis':
        return { code: 200, ...discovery.root(path === '/api', representation) };
      case '/openapi/v3':
        return { code: 200, body: openApi.index(), contentType: 'application/json' };
      case '/version':
        return json(versionInfo(options.version));
      case '/healthz':
      case '/livez':
      case '/readyz':
        return text('ok');
      case '/':
        return json({ paths: allPaths(types) });
    }
  }

  async function watch(
    request: IncomingMessage,
    response: ServerResponse,
    route: Route & { kind: 'resource' },
    query: URLSearchParams,
  ): Promise<void> {
    const representation = negotiate(request.headers.accept);
    const { options: asked, allowBookmarks, timeoutMs } = watchRequest(query, random);
    const { type, place } = route;
    const { namespace } = place;
    const abort = new AbortController();
    const events = home.stored.watch(type, {
      ...asked,
      ...(namespace === undefined ? {} : { namespace }),
      signal: abort.signal,
    });
    const view = { type, representation, includeObject: includeObjectOf(query), clock };
    watches.add(abort);
    try {
      await streamWatch({ response, events, view, allowBookmarks, timeoutMs, abort, drainMs: options.drainMs });
    } finally {
      watches.delete(abort);
    }
  }

  return {
    handle,
    endWatches() {
      for (const abort of watches) abort.abort();
    },
  };
}

function isWatchOf(route: Route, method: string, query: URLSearchParams): route is Route & { kind: 'resource' } {
  // Of one object the API server knows no watch: `kubectl get NAME -w` selects it by its name.
  return method === 'GET' && route.kind === 'resource' && route.place.name === undefined && isWatch(query);
}

function found(value: unknown): Answer {
  if (value === undefined) throw notServed();
  return json(value);
}

function allPaths(types: readonly ResourceType[]): string[] {
  const groups = [...new Set([...types.map(({ group }) => group), ...Object.keys(reviewGroups)])].filter(Boolean);
  const versions = groups.flatMap((group) => {
    const version = types.find((type) => type.group === group)?.version ?? 'v1';
    return [`/apis/${group}`, `/apis/${group}/${version}`];
  });
  return [
    '/api',
    '/api/v1',
    '/apis',
    ...versions,
    '/healthz',
    '/livez',
    '/openapi/v2',
    '/openapi/v3',
    '/readyz',
    '/version',
  ].toSorted();
}
