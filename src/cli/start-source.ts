import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { servedTypes } from '../api/resources.ts';
import { openGitRepository } from '../git/repository.ts';
import { readTokenFile } from '../git/credentials.ts';
import { createWebhook } from '../git/webhook.ts';
import type { Admission } from '../home/admission.ts';
import type { Client } from '../home/client.ts';
import { sourceName, startDirectorySource } from '../home/directory-source.ts';
import { startGitSource } from '../home/git-source/git-source.ts';
import type { ManifestSource } from '../home/manifest-source.ts';
import { systemClock } from '../runtime/clock.ts';
import { createEventRecorder } from '../runtime/event-recorder.ts';
import type { Hook } from '../runtime/http-endpoints.ts';
import type { Redactor } from '../security/redact.ts';
import type { GitRunOptions } from './git-options.ts';

/** Where the manifests are. */
export type SourceChoice =
  { readonly type: 'Directory'; readonly directory: string } | { readonly type: 'Git'; readonly git: GitRunOptions };

export interface StartSourceOptions {
  readonly choice: SourceChoice;
  readonly stateDirectory: string;
  readonly namespace: string;
  readonly client: Client;
  readonly admission: Admission;
  readonly redactor: Redactor;
  readonly log: Logger;
  /** Who reports events. */
  readonly instance: string;
}

export interface StartedSource {
  readonly source: ManifestSource;
  /** For `POST /hook`, where that is asked for. */
  readonly hook?: Hook;
}

/** @throws GridferryError `GF_GIT_CREDENTIALS`, `GF_GIT_MISSING` */
export function startSource(options: StartSourceOptions): StartedSource {
  const { choice, namespace, client, admission, log } = options;
  if (choice.type === 'Git') return startGit(choice.git, options);
  const source = startDirectorySource({
    directory: resolve(choice.directory),
    client,
    types: servedTypes,
    admission,
    clock: systemClock,
    log,
    defaultNamespace: namespace,
  });
  return { source };
}

function startGit(git: GitRunOptions, options: StartSourceOptions): StartedSource {
  const { stateDirectory, namespace, client, admission, redactor, log, instance } = options;
  const { url, branch, path, interval, intervalMs, credentials, allowRewrittenHistory, webhookTokenFile } = git;
  for (const file of [credentials.tokenFile, webhookTokenFile]) {
    if (file !== undefined) redactor.add(readTokenFile(file));
  }
  const directory = join(stateDirectory, 'git');
  const recorder = createEventRecorder({ client, clock: systemClock, random: Math.random, log, instance });
  const source = startGitSource({
    repository: openGitRepository({ directory, url, branch, credentials }),
    url: url.remote,
    branch,
    path,
    name: sourceName(url.name),
    namespace,
    interval,
    allowRewrittenHistory,
    stateDirectory: directory,
    client,
    types: servedTypes,
    admission,
    clock: systemClock,
    random: Math.random,
    recorder,
    log,
    timings: { intervalMs },
  });
  const ending: ManifestSource = {
    ready: source.ready,
    problems: () => source.problems(),
    resync: () => source.resync(),
    async stop() {
      await source.stop();
      await recorder.flush();
    },
  };
  if (webhookTokenFile === undefined) return { source: ending };
  const onPush = (): void => void source.resync();
  return { source: ending, hook: createWebhook({ tokenFile: webhookTokenFile, branch, clock: systemClock, onPush }) };
}

/** The source as its user named it. */
export function describeChoice(choice: SourceChoice): string {
  return choice.type === 'Git' ? choice.git.url.remote : choice.directory;
}
