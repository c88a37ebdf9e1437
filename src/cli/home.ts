import type { Client } from '../home/client.ts';
import { findState } from './state-directory.ts';
import { standardOutput } from './output.ts';

/** What every reading command is told. */
export interface HomeOptions {
  readonly state?: string;
}

/** Opens the home that the command means, for reading, and closes it when the work is done. */
export async function withHome<R>(options: HomeOptions, work: (client: Client) => Promise<R>): Promise<R> {
  const { path, note } = findState(options.state);
  if (note !== undefined) standardOutput.note(note);
  const [{ openLocalHome }, { createSchemaAdmission }, { servedTypes }] = await Promise.all([
    import('../home/local-client.ts'),
    import('../home/schema-admission.ts'),
    import('../api/resources.ts'),
  ]);
  const home = openLocalHome({
    stateDir: path,
    readOnly: true,
    types: servedTypes,
    admission: createSchemaAdmission(),
  });
  try {
    return await work(home);
  } finally {
    home.close();
  }
}

/** Fires at the first SIGINT or SIGTERM: to end a watch is how it is meant to end. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}
