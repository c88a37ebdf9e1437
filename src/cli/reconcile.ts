import type { Command } from 'commander';
import type { ObjectKey, ResourceType } from '../api/meta.ts';
import type { Source } from '../api/resources.ts';
import type { Client } from '../home/client.ts';
import { withHomeOptions } from './home-options.ts';
import type { HomeOptions } from './home-options.ts';
import type { Wanted } from './kinds.ts';

interface ReconcileOptions extends HomeOptions {
  readonly wait: boolean;
  readonly timeout: string;
  readonly acceptRewrite?: true;
}

export function registerReconcile(program: Command): void {
  withHomeOptions(program.command('reconcile'))
    .description(
      'Asks for a look at once: at the source of the manifests, or at the objects that are named. For a source it waits ' +
        'until the look is done, and says what is applied: 0 all of it, 1 not.',
    )
    .usage('[options] [source|kind/name...]')
    .argument('[objects...]', 'such as source, source/fleet or transfer/move-web (default: source)')
    .option('--no-wait', 'only ask')
    .option('--timeout <duration>', 'how long to wait for a source', '2m')
    .option('--accept-rewrite', 'apply the newest commit of a Git source although it does not contain the one in use')
    .action(async (words: string[], options: ReconcileOptions) => {
      const [{ withWritableHome }, { parseWanted }, { localTypes }, { parseDuration }] = await Promise.all([
        import('./home.ts'),
        import('./kinds.ts'),
        import('../api/resources.ts'),
        import('../runtime/duration.ts'),
      ]);
      const wanted = parseWanted(words.length === 0 ? ['sources'] : words, localTypes);
      const timeoutMs = parseDuration(options.timeout);
      await withWritableHome(options, (client, namespace) => run(client, wanted, namespace, { ...options, timeoutMs }));
    });
}

interface Asked {
  readonly type: ResourceType;
  readonly key: ObjectKey;
}

async function run(
  client: Client,
  wanted: readonly Wanted[],
  namespace: string,
  options: ReconcileOptions & { readonly timeoutMs: number },
): Promise<void> {
  const [{ usageError, ExitCode }, { standardOutput }, { qualifiedName }] = await Promise.all([
    import('./cli-error.ts'),
    import('./output.ts'),
    import('./kinds.ts'),
  ]);
  const asked: Asked[] = [];
  for (const { type, names } of wanted) {
    if (options.acceptRewrite === true && type.kind !== 'Source') throw usageError('--accept-rewrite is for a source');
    const isAll = names.length === 0 && type.kind === 'Source';
    if (names.length === 0 && !isAll) throw usageError(`Name the ${type.plural}, as in ${type.singular}/name.`);
    const keys = isAll
      ? (await client.list(type)).items.map(({ metadata }) => ({
          namespace: metadata.namespace ?? '',
          name: metadata.name,
        }))
      : names.map((name) => ({ namespace: type.namespaced ? namespace : '', name }));
    asked.push(...keys.map((key) => ({ type, key })));
  }
  if (asked.length === 0) throw usageError('There is no source here: start "gridferry run" first.');
  const value = new Date().toISOString();
  for (const { type, key } of asked) {
    await ask(client, type, key, value, options.acceptRewrite === true);
    standardOutput.note(`${qualifiedName(type, key.name)} asked for a look`);
  }
  if (!options.wait) return;
  for (const { type, key } of asked) {
    if (type.kind !== 'Source') continue;
    const isReady = await followUp(client, type as ResourceType<Source>, key, value, options.timeoutMs);
    if (!isReady) process.exitCode = ExitCode.failed;
  }
}

async function ask(
  client: Client,
  type: ResourceType,
  key: ObjectKey,
  value: string,
  acceptRewrite: boolean,
): Promise<void> {
  const { ACCEPT_ANNOTATION, RECONCILE_ANNOTATION } = await import('../home/manifest-annotations.ts');
  const annotations: Record<string, string> = { [RECONCILE_ANNOTATION]: value };
  if (acceptRewrite) {
    // Exactly this commit, so that what is pushed after it is not accepted along with it.
    const { status } = (await client.get(type, key)) as Source;
    if (status?.lastAttemptedRevision !== undefined) annotations[ACCEPT_ANNOTATION] = status.lastAttemptedRevision;
  }
  const body = { metadata: { annotations } };
  await client.patch(type, key, { type: 'merge', body }, { fieldManager: 'gridferry-reconcile' });
}

/** Waits until the request is answered, and says how. */
async function followUp(
  client: Client,
  type: ResourceType<Source>,
  key: ObjectKey,
  value: string,
  timeoutMs: number,
): Promise<boolean> {
  const [{ GridferryError }, { standardOutput }, { findCondition }] = await Promise.all([
    import('../errors.ts'),
    import('./output.ts'),
    import('../runtime/conditions.ts'),
  ]);
  const signal = AbortSignal.timeout(timeoutMs);
  const selection = { namespace: key.namespace, fieldSelector: `metadata.name=${key.name}`, signal };
  for await (const event of client.watch(type, selection)) {
    if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue;
    const { status } = event.object;
    const ready = findCondition(status?.conditions, 'Ready');
    if (status?.lastHandledReconcileAt !== value || ready?.reason === 'Applying') continue;
    standardOutput.print(`source/${key.name}: ${ready?.message ?? 'it says nothing about itself'}`);
    return ready?.status === 'True' && findCondition(status.conditions, 'Fetched')?.status !== 'False';
  }
  throw new GridferryError(
    'GF_CLI_RECONCILE_TIMEOUT',
    `source/${key.name} has not answered after ${String(timeoutMs / 1000)} s: is "gridferry run" running? See its log.`,
  );
}
