import { GridferryError, messageOf } from '../errors.ts';
import { stopPrograms } from '../ssh/transfer-folder.ts';
import type { CopyOptions } from './copy.ts';
import { relayRoute, type DirectRoute } from './route.ts';

/**
 * Makes a pass the direct way, and through this process when that cannot be used or breaks, if the route allows it. By then
 * nothing of the direct pass runs on either server any more: what comes late must not write over what came after it.
 */
export async function overRoute<T>(options: CopyOptions, pass: (options: CopyOptions) => Promise<T>): Promise<T> {
  const { route } = options;
  if (route?.mode !== 'Direct') return pass(options);
  try {
    return await pass(options);
  } catch (error) {
    if (!(error instanceof GridferryError && error.code === 'GF_LINK_FAILED')) throw error;
    options.signal?.throwIfAborted();
    await leaveLink(route, messageOf(error), error);
    return pass({ ...options, route: relayRoute });
  }
}

/** What only goes through this process: rejects with `GF_LINK_FAILED` where that is not allowed. */
export async function withoutLink(options: CopyOptions, why: string): Promise<CopyOptions> {
  const { route } = options;
  if (route?.mode !== 'Direct') return options;
  await leaveLink(route, why, undefined);
  return { ...options, route: relayRoute };
}

async function leaveLink({ link, otherwise, onFallback }: DirectRoute, why: string, cause: unknown): Promise<void> {
  if (otherwise === 'Fail') {
    if (cause instanceof Error) throw cause;
    throw new GridferryError('GF_LINK_FAILED', `${why}, but spec.transport is Direct: set it to Auto.`);
  }
  await Promise.all([stopPrograms(link.dialler, link.id), stopPrograms(link.other, link.id)]);
  onFallback?.(why);
}
