import type { GridferryError } from '../errors.ts';
import { commandLine } from './command-line.ts';
import { CLAIM_TIMEOUT_MS, claimCommand, fenced, fenceFailed, fenceWasGone, readClaim } from './fence.ts';
import type { Fence } from './fence.ts';
import { FENCED_EXIT } from './fence-script.ts';
import type { RemoteProcess } from './remote-process.ts';
import { runToEnd } from './run-to-end.ts';

/** The fence of one server, as one connection to it knows it. */
export interface ServerFence {
  /**
   * Makes the server follow our epoch, and ends the connections of older ones there. When it follows a newer one, this
   * connection is given up.
   *
   * @throws `GF_FENCED`, `GF_FENCE_FAILED`
   */
  claim(signal?: AbortSignal): Promise<void>;
  /** The program, with an end that tells a refusal by the guard from an exit code of its own. */
  watch(program: RemoteProcess): RemoteProcess;
}

export interface ServerFenceOptions {
  /** For messages. */
  readonly server: string;
  readonly fence: Fence;
  /** Starts a command line, unguarded. */
  readonly start: (line: string, signal?: AbortSignal) => Promise<RemoteProcess>;
  /** The connection is of no use any more. */
  readonly onNewer: (reason: GridferryError) => void;
}

export function createServerFence({ server, fence, start, onNewer }: ServerFenceOptions): ServerFence {
  /** How often the server did not follow our epoch, and was made to. */
  let raises = 0;

  async function claim(signal?: AbortSignal): Promise<void> {
    const answer = await runToEnd(
      server,
      (argv, options) => start(commandLine(argv), options.signal),
      claimCommand(fence),
      { allowFailure: true, timeoutMs: CLAIM_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) },
    );
    const verdict = readClaim(answer);
    if (verdict.kind === 'failed') throw fenceFailed(server, verdict.reason);
    if (verdict.kind === 'raised') raises++;
    if (verdict.kind !== 'newer') return;
    const reason = fenced(server, fence, verdict.epoch);
    onNewer(reason);
    fence.onRefused(verdict.epoch);
    throw reason;
  }

  return {
    claim,
    watch(program) {
      const before = raises;
      const exit = program.exit.then(async (end) => {
        if (end.code !== FENCED_EXIT) return end;
        await claim();
        if (raises !== before) throw fenceWasGone(server);
        return end;
      });
      // Whoever only reads the output meets the reason with the next program.
      exit.catch(() => {});
      return { ...program, exit };
    },
  };
}
