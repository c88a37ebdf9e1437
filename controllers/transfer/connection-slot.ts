import type { ManagedServer } from '../../src/api/resources.ts';
import type { ServerConnection } from '../servers/connections.ts';
import type { TransferContext } from './context.ts';

/** A connection that was asked for this short a time ago is not asked for again, in ms. */
const FRESH_MS = 10_000;

/** The connection to one server of a transfer. */
export interface ConnectionSlot {
  connect(context: TransferContext): Promise<ServerConnection>;
  forget(): void;
}

/**
 * Remembers the connection for a while: asking for it means reading the server's Secret, and steps ask at every turn, also
 * while the service is stopped. One that broke is not remembered.
 */
export function createConnectionSlot(serverOf: (context: TransferContext) => Readonly<ManagedServer>): ConnectionSlot {
  let current:
    { readonly server: string; readonly askedAt: number; readonly connection: Promise<ServerConnection> } | undefined;
  return {
    connect(context) {
      const { metadata } = serverOf(context);
      const server = `${metadata.uid ?? ''}/${String(metadata.generation ?? 0)}`;
      const now = context.clock.monotonic();
      if (current?.server === server && now - current.askedAt < FRESH_MS) return current.connection;
      const asked = {
        server,
        askedAt: now,
        connection: context.dependencies.servers.connect(serverOf(context), context.signal),
      };
      current = asked;
      const forget = (): void => {
        if (current === asked) current = undefined;
      };
      asked.connection.then(({ host }) => host.closed.then(forget), forget);
      return asked.connection;
    },
    forget: () => void (current = undefined),
  };
}
