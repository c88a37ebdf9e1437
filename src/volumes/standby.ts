import type { ExecOptions, ExecResult } from '../ssh/host.ts';
import { runToEnd } from '../ssh/run-to-end.ts';
import type { Workbench } from './workbench.ts';

/**
 * Work that was begun ahead of time and waits for the word to go on, where only what has to come after it is left to do.
 * It can be lost while it waits (a broken connection, a killed program): then `go` rejects, and whoever wanted the work
 * does it in the ordinary way, which only takes longer.
 */
export interface Standby<T> {
  /** Once. Rejects when it was lost, when the work fails, or with the signal's reason. */
  go(signal?: AbortSignal): Promise<T>;
  /** It is not wanted any more. */
  cancel(): void;
}

/** Lets it go on; does the work in the ordinary way when there is none, or it was lost or failed. */
export async function goOr<T>(
  standby: Standby<T> | undefined,
  ordinary: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (standby === undefined) return ordinary();
  try {
    return await standby.go(signal);
  } catch {
    // If it was not the waiting that went wrong, the ordinary way meets with the same error, and tells it.
    signal?.throwIfAborted();
    return ordinary();
  }
}

/** A program that has read the first part of its input and waits for the rest. */
export interface WaitingProgram {
  /** Gives it the rest of its input and waits for its end, as `Workbench.exec` does. */
  go(options: Omit<ExecOptions, 'env' | 'root'>): Promise<ExecResult>;
  /** Ends its input without the rest, and ends it. */
  cancel(): void;
}

export async function standBy(
  bench: Workbench,
  argv: readonly string[],
  options: { readonly input: string; readonly env: Readonly<Record<string, string>> },
): Promise<WaitingProgram> {
  const program = await bench.spawn(argv, { env: options.env });
  const cancel = (): void => {
    program.stdin.destroy();
    program.kill();
  };
  // One that is lost meanwhile tells when it is to go on.
  for (const stream of [program.stdin, program.stdout, program.stderr]) stream.on('error', () => undefined);
  program.exit.catch(() => undefined);
  program.stdin.write(options.input);
  return {
    go: (execOptions) =>
      runToEnd(
        bench.name,
        (_argv, { signal }) => {
          signal?.addEventListener('abort', () => program.kill(), { once: true });
          return Promise.resolve(program);
        },
        argv,
        execOptions,
      ),
    cancel,
  };
}
