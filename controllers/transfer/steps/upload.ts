import { stopCopies } from '../transport/credentials.ts';
import { bandwidthLimitOf } from '../copying/bandwidth-limit.ts';
import type { TransferContext } from '../context.ts';
import { bringImages, giveTagsBack } from '../copying/images.ts';
import { precopy } from '../copying/precopy.ts';
import type { Step, StatusChange, StepResult } from '../step.ts';
import { emptyCreatedPaths } from '../copying/target-paths.ts';

/** Brings everything to the target that can be there before the service stops: its images, and beside them its data. */
export const upload: Step = {
  name: 'upload',
  phase: 'Uploading',
  async apply(context) {
    const shown = sharedReport(context);
    const parts = [
      (part: TransferContext) => bringImages(part, shown()),
      (part: TransferContext) => precopy(part, shown()),
    ];
    const results = await together(context, parts);
    return {
      record: (status, condition) => results.forEach(({ record }) => record?.(status, condition)),
      message: results
        .map(({ message = '' }) => message)
        .filter((message) => message !== '')
        .join('; '),
    };
  },
  async undo(context) {
    await stopCopies(context);
    await emptyCreatedPaths(context);
    await giveTagsBack(context);
    return undefined;
  },
};

/** The latest progress of each part, shown together: a report replaces the one before it. */
function sharedReport(context: TransferContext): () => (change: StatusChange) => void {
  const latest: (StatusChange | undefined)[] = [];
  return () => {
    const part = latest.push(undefined) - 1;
    return (change) => {
      latest[part] = change;
      const changes = [...latest];
      context.report((status, condition) => changes.forEach((one) => one?.(status, condition)));
    };
  };
}

/**
 * Does the parts side by side; one after the other where the bandwidth is limited, so that together they keep the limit.
 * When one fails the other is ended, too, and waited for.
 */
async function together(
  context: TransferContext,
  parts: readonly ((context: TransferContext) => Promise<StepResult>)[],
): Promise<StepResult[]> {
  const results: StepResult[] = [];
  if (bandwidthLimitOf(context.transfer) !== undefined) {
    for (const part of parts) results.push(await part(context));
    return results;
  }
  const failed = new AbortController();
  const beside = { ...context, signal: AbortSignal.any([context.signal, failed.signal]) };
  let first: { readonly error: unknown } | undefined;
  const settled = await Promise.all(
    parts.map((part) =>
      part(beside).catch((error: unknown) => {
        first ??= { error };
        failed.abort(error);
        return {};
      }),
    ),
  );
  if (first !== undefined) throw first.error;
  return settled;
}
