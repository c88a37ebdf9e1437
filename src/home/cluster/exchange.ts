import { abortable } from '../../runtime/abortable.ts';
import type { IncomingMessage } from 'node:http';
import { GridferryError } from '../../errors.ts';
import { isReason } from '../api-error.ts';
import { sleep } from '../../runtime/clock.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Connection } from './connection.ts';
import type { Credentials, CredentialSource } from './credentials.ts';
import { badAnswer, networkError, timeoutError, wasNeverSent } from './network-error.ts';
import { statusError } from './status-error.ts';
import { warningTexts } from './warning-header.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query, below the server's own path. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
  /** Told each warning of the server, also of one that refuses the request. */
  readonly onWarning?: ((text: string) => void) | undefined;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** What metrics are made of, for every answer or failure: `code` is the HTTP status or `<error>`, as client-go has it. */
export interface ApiObservation {
  readonly method: string;
  readonly code: string;
  readonly seconds: number;
}

/** Requests and answers, with credentials, deadlines and the few repetitions that are safe. Knows no resource. */
export interface Exchange {
  /** Rejects with an `ApiError` for what the server refuses, and a retryable `GF_API_…` for what does not work. */
  call(request: ApiRequest, deadlineMs: number): Promise<ApiAnswer>;
  /** The same for an answer that goes on and on; the deadline counts until its head is there. */
  open(request: ApiRequest, deadlineMs: number): Promise<IncomingMessage>;
}

export interface ExchangeOptions {
  readonly connection: Connection;
  readonly credentials: CredentialSource;
  readonly clock: Clock;
  readonly random: () => number;
  readonly host: string;
  /** The path before the API's own. */
  readonly basePath: string;
  readonly userAgent: string;
  /** Ends everything when it fires. */
  readonly closed: AbortSignal;
  readonly onObservation?: ((observation: ApiObservation) => void) | undefined;
}

/** Enough to outlive a restart of the server's listener; whoever calls repeats the rest with backoff. */
const MOST_ATTEMPTS = 4;
const FIRST_PAUSE_MS = 100;

export function createExchange(options: ExchangeOptions): Exchange {
  const { connection, credentials, clock, random, host } = options;

  /** Runs `work` with a signal that fires at the deadline, at the caller's and at `close`. */
  async function within<R>(
    request: ApiRequest,
    deadlineMs: number,
    work: (signal: AbortSignal, deadlineAt: number) => Promise<R>,
  ): Promise<R> {
    const controller = new AbortController();
    const { signal } = controller;
    const stopListening = abortWith(controller, request.signal, options.closed);
    const cancelTimer = clock.after(deadlineMs, () => {
      // The other idle sockets lead the same way: each would cost its next user a deadline to find out.
      connection.dropIdle();
      controller.abort(timeoutError(host, deadlineMs, `${request.method} ${request.path.replace(/\?.*/, '')}`));
    });
    try {
      return await work(signal, clock.monotonic() + deadlineMs);
    } catch (error) {
      throw signal.aborted ? (signal.reason as Error) : error;
    } finally {
      cancelTimer();
      stopListening();
    }
  }

  async function attempt(
    request: ApiRequest,
    proof: Credentials,
    signal: AbortSignal,
    lasting: boolean,
  ): Promise<IncomingMessage> {
    const startedAt = clock.monotonic();
    const observe = (code: string): void =>
      options.onObservation?.({ method: request.method, code, seconds: (clock.monotonic() - startedAt) / 1000 });
    try {
      const body = request.body === undefined ? undefined : JSON.stringify(request.body);
      const response = await connection.send(
        {
          method: request.method,
          path: options.basePath + request.path,
          headers: {
            accept: 'application/json',
            'user-agent': options.userAgent,
            ...(body === undefined
              ? {}
              : {
                  'content-type': request.contentType ?? 'application/json',
                  'content-length': String(Buffer.byteLength(body)),
                }),
          },
          body,
          signal,
          lasting,
        },
        proof,
      );
      observe(String(response.statusCode));
      return response;
    } catch (error) {
      observe('<error>');
      // Either side's certificate may have been replaced since its file was read.
      if (error instanceof GridferryError && error.code === 'GF_API_TLS') credentials.renew(proof);
      throw error;
    }
  }

  /** Resolves with an answer below 400. A request is sent again only when the server cannot have acted on it. */
  async function send(
    request: ApiRequest,
    signal: AbortSignal,
    deadlineAt: number,
    lasting: boolean,
  ): Promise<IncomingMessage> {
    let renewed = false;
    for (let attempts = 1; ; attempts++) {
      let failure: Error;
      let pauseMs: number;
      try {
        const proof = await abortable(credentials.current(), signal);
        const response = await attempt(request, proof, signal, lasting);
        if (request.onWarning !== undefined) {
          warningTexts(response.headersDistinct['warning'] ?? []).forEach(request.onWarning);
        }
        if ((response.statusCode ?? 500) < 400) return response;
        failure = await failureOf(response);
        if (isReason(failure, 'Unauthorized') && !renewed) {
          renewed = true;
          credentials.renew(proof);
          continue;
        }
        // With Retry-After the server says that it did nothing yet and when to come again.
        const asked = isReason(failure, 'TooManyRequests', 'ServiceUnavailable') ? failure.retryAfterMs : undefined;
        if (asked === undefined) throw failure;
        pauseMs = asked * (1 + random() / 10);
      } catch (error) {
        if (signal.aborted || !(wasNeverSent(error) || (request.method === 'GET' && wasReset(error)))) throw error;
        failure = error as Error;
        pauseMs = FIRST_PAUSE_MS * 2 ** (attempts - 1) * (0.5 + random());
      }
      if (attempts >= MOST_ATTEMPTS || clock.monotonic() + pauseMs >= deadlineAt) throw failure;
      await sleep(clock, pauseMs, signal);
    }
  }

  async function failureOf(response: IncomingMessage): Promise<Error> {
    const text = (await readBody(response, host)).toString();
    const retryAfter = Number(response.headers['retry-after'] ?? NaN);
    return statusError(
      response.statusCode ?? 500,
      parsed(text) ?? text,
      Number.isFinite(retryAfter) ? retryAfter : undefined,
    );
  }

  return {
    call: (request, deadlineMs) =>
      within(request, deadlineMs, async (signal, deadlineAt) => {
        for (let again = false; ; again = true) {
          const response = await send(request, signal, deadlineAt, false);
          let bytes: Buffer;
          try {
            bytes = await readBody(response, host);
          } catch (error) {
            // Cut off in the middle: a read is read again, once.
            if (again || request.method !== 'GET' || signal.aborted) throw error;
            continue;
          }
          const body = parsed(bytes.toString());
          if (body === undefined) throw badAnswer(host, `what it sent for ${request.path} is not JSON`);
          return { status: response.statusCode ?? 200, body };
        }
      }),
    async open(request, deadlineMs) {
      // The stream outlives the deadline, so it gets a signal that only the caller and `close` fire.
      const stream = new AbortController();
      const stopListening = abortWith(stream, request.signal, options.closed);
      try {
        const response = await within(request, deadlineMs, (signal, deadlineAt) => {
          signal.addEventListener('abort', () => stream.abort(signal.reason), { once: true });
          return send(request, stream.signal, deadlineAt, true);
        });
        response.once('close', stopListening);
        return response;
      } catch (error) {
        stopListening();
        throw error;
      }
    },
  };
}

/** Aborts with the first of the signals that fires. Returns what stops listening to them. */
function abortWith(controller: AbortController, ...signals: readonly (AbortSignal | undefined)[]): () => void {
  const stops = signals
    .filter((signal) => signal !== undefined)
    .map((signal) => {
      const onAbort = (): void => controller.abort(signal.reason);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
      return () => signal.removeEventListener('abort', onAbort);
    });
  return () => stops.forEach((stop) => stop());
}

async function readBody(response: IncomingMessage, host: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    throw networkError(error, host);
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The caller says what was expected instead.
    return undefined;
  }
}

/** An idle socket that the server closed just when it was used: the request may have got there, or not. */
function wasReset(error: unknown): boolean {
  const { cause } = error as { readonly cause?: { readonly code?: string } };
  return cause?.code === 'ECONNRESET' || cause?.code === 'EPIPE';
}
