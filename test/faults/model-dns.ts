import { GridferryError } from '../../src/errors.ts';
import type { DnsChange, DnsProvider, DnsRecordSnapshot, DnsZone } from '../../src/dns/provider.ts';
import { remainingChanges } from '../../src/dns/remaining-changes.ts';
import { sleep } from '../../src/runtime/clock.ts';
import { plainCopy } from '../../src/runtime/structural.ts';
import type { ControllerProcess } from './controller-process.ts';
import type { World } from './world.ts';

const ZONE: DnsZone = { id: 'zone-1', name: 'example.test', nameServers: ['ns1.example.test'] };

/** The provider of the zone: its records, and how its API behaves. */
export class ModelDns {
  readonly records = new Map<string, DnsRecordSnapshot>();
  mode: 'ok' | 'too many requests' | 'server error' | 'no answer' | 'lost answers' = 'ok';
  readonly #world: World;
  #ids = 0;

  constructor(world: World) {
    this.#world = world;
  }

  add(record: Omit<DnsRecordSnapshot, 'id'>): void {
    const id = `record-${String(++this.#ids)}`;
    this.records.set(id, { id, ...record });
  }

  #find(name: string): DnsRecordSnapshot | undefined {
    return [...this.records.values()].find((record) => record.name === name && record.type === 'A');
  }

  addressOf(name: string): string | undefined {
    return this.#find(name)?.content;
  }

  ttlOf(name: string): number {
    return this.#find(name)?.ttl ?? 60;
  }

  /** The provider as one controller process reaches it. */
  providerFor(process: ControllerProcess): DnsProvider {
    const call = <T>(op: string, effect: () => T): Promise<T> => this.#call(process, op, effect);
    return {
      findZone: () => call('dns find zone', () => ZONE),
      listRecords: (_zone, filter) =>
        call('dns list', () =>
          [...this.records.values()].filter(
            (record) =>
              (filter?.name === undefined || record.name === filter.name) &&
              (filter?.type === undefined || record.type === filter.type),
          ),
        ),
      applyChanges: async (_zone, changes) => {
        if (changes.length > 0) await call('dns change', () => this.#apply(changes));
      },
    };
  }

  #apply(changes: readonly DnsChange[]): void {
    const { deletes, updates, creates } = remainingChanges(changes, [...this.records.values()]);
    for (const { id } of deletes) this.records.delete(id);
    for (const { to } of updates) this.records.set(to.id, to);
    for (const record of creates) this.add(record);
    this.#world.event();
  }

  async #call<T>(process: ControllerProcess, op: string, effect: () => T): Promise<T> {
    const { life } = process;
    await life.go();
    const point = this.#world.around(op);
    point.before();
    await life.go();
    // As the real client does before each request that changes something.
    if (op === 'dns change' && !process.mayWrite()) throw unavailable('this process no longer leads');
    const { mode } = this;
    await sleep(this.#world.clock, 20);
    if (mode === 'too many requests' || mode === 'server error') {
      await life.go();
      throw unavailable(mode);
    }
    if (mode === 'no answer') {
      await sleep(this.#world.clock, 30_000);
      await life.go();
      throw unavailable('it did not answer');
    }
    const value = effect();
    this.#world.note(op);
    point.after();
    if (mode === 'lost answers') {
      await sleep(this.#world.clock, 30_000);
      await life.go();
      throw unavailable('it did not answer');
    }
    await life.go();
    return plainCopy(value);
  }
}

function unavailable(why: string): GridferryError {
  return new GridferryError('GF_DNS_UNAVAILABLE', `The DNS provider could not be asked: ${why}.`, {
    class: 'retryable',
    ...(why === 'too many requests' ? { retryAfterMs: 2_000 } : {}),
  });
}
