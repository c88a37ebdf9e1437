import { systemClock } from '../runtime/clock.ts';
import type { CopyOptions, CopyPass } from './copy.ts';
import { openRsync } from './rsync-pass.ts';
import type { Standby } from './standby.ts';

/**
 * A pass of `copyTree` with rsync started on both ends, which have not looked at their trees yet. `undefined` where rsync
 * is not to be had: tar reads as soon as it runs. Rejects as `copyTree`.
 */
export async function standbyCopy(
  options: Omit<CopyOptions, 'signal' | 'onProgress' | 'tool'>,
): Promise<Standby<CopyPass> | undefined> {
  if (options.source.tools.rsync === undefined || options.target.tools.rsync === undefined) return undefined;
  const clock = options.clock ?? systemClock;
  const ended = new AbortController();
  const rsync = await openRsync({ ...options, signal: ended.signal });
  const cancel = (): void => {
    if (!ended.signal.aborted) ended.abort(new Error('the copy that stood by is not wanted any more'));
    rsync.kill();
  };
  return {
    async go(signal) {
      const startedAt = clock.now();
      const begin = clock.monotonic();
      let bytesOnWire = 0;
      signal?.addEventListener('abort', cancel, { once: true });
      try {
        const result = await rsync.run((bytes) => (bytesOnWire += bytes));
        signal?.throwIfAborted();
        return { ...result, bytesOnWire, startedAt, durationMs: Math.round(clock.monotonic() - begin) };
      } finally {
        signal?.removeEventListener('abort', cancel);
      }
    },
    cancel,
  };
}
