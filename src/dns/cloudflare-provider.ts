import { GridferryError } from '../errors.ts';
import { sleep, systemClock } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Cloudflare, CloudflareBatch, RecordPatch } from './cloudflare.ts';
import { normalizeName, sameRecord } from './provider.ts';
import type { DnsCallOptions, DnsChange, DnsProvider, DnsRecordSnapshot, DnsZone } from './provider.ts';
import { remainingChanges } from './remaining-changes.ts';
import type { RemainingChanges } from './remaining-changes.ts';

const ATTEMPTS = 3;
const WORTH_A_LOOK: ReadonlySet<string> = new Set(['GF_DNS_UNAVAILABLE', 'GF_DNS_RECORD_EXISTS', 'GF_DNS_CHANGED']);

export interface CloudflareProviderOptions {
  readonly clock?: Clock;
  /** Between an unclear answer and the next look, in ms. Default 500. */
  readonly retryDelayMs?: number;
}

/**
 * Cloudflare as a `DnsProvider`: all changes in one transaction, and every mutation observed again before it is repeated.
 *
 * @throws GF_DNS_CHANGED, GF_DNS_RECORD_EXISTS, GF_DNS_UNAVAILABLE and what `Cloudflare`'s calls reject with.
 */
export function cloudflareProvider(cloudflare: Cloudflare, options: CloudflareProviderOptions = {}): DnsProvider {
  const { clock = systemClock, retryDelayMs = 500 } = options;

  async function observe(
    zone: DnsZone,
    changes: readonly DnsChange[],
    call: DnsCallOptions,
  ): Promise<readonly DnsRecordSnapshot[]> {
    const names = new Set(changes.flatMap(recordsOf).map((record) => normalizeName(record.name)));
    const found: DnsRecordSnapshot[] = [];
    for (const name of names) found.push(...(await cloudflare.listRecords(zone, { name }, call)));
    return found;
  }

  return {
    findZone: (name, call) => cloudflare.findZone(name, call),
    listRecords: (zone, filter, call) => cloudflare.listRecords(zone, filter, call),

    async applyChanges(zone, changes, call = {}) {
      if (changes.length === 0) return;
      let failure: GridferryError | undefined;
      for (let attempt = 1; ; attempt++) {
        const batch = batchOf(remainingChanges(changes, await observe(zone, changes, call)));
        if (batch === undefined) return;
        if (failure !== undefined && (attempt > ATTEMPTS || !mayHaveBeenDone(failure))) throw failure;
        try {
          await cloudflare.batch(zone, batch, call);
          return;
        } catch (error) {
          // Whatever it was, the records say whether it was done: a refusal for "exists already" may be our own record.
          if (!(error instanceof GridferryError && WORTH_A_LOOK.has(error.code))) throw error;
          failure = error;
          if (mayHaveBeenDone(error)) await sleep(clock, retryDelayMs * attempt, call.signal);
        }
      }
    },
  };
}

function mayHaveBeenDone(error: GridferryError): boolean {
  return error.code === 'GF_DNS_UNAVAILABLE';
}

function recordsOf(change: DnsChange): readonly { readonly name: string }[] {
  return change.kind === 'update' ? [change.from, change.to] : [change.record];
}

function batchOf({ deletes, updates, creates }: RemainingChanges): CloudflareBatch | undefined {
  if (deletes.length + updates.length + creates.length === 0) return undefined;
  return {
    deletes: deletes.map(({ id }) => ({ id })),
    patches: updates.map(({ current, to }) => patchOf(current, to)),
    posts: creates,
  };
}

function patchOf(current: DnsRecordSnapshot, to: DnsRecordSnapshot): RecordPatch {
  const { id, name, type, content, ttl, proxied, comment, tags } = to;
  return {
    ...{ id, name, type, content, ttl, proxied },
    // Only what differs: a plan that has no tags refuses even the mention of them.
    ...(comment === current.comment ? {} : { comment }),
    ...(sameRecord({ ...current, tags }, current) ? {} : { tags }),
  };
}
