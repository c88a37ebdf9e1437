import { GridferryError, messageOf } from '../errors.ts';

/** How a command ends. */
export const ExitCode = {
  ok: 0,
  /** Something failed. */
  failed: 1,
  /** The input or the way it was called is wrong; nothing was done. */
  usage: 2,
} as const;

const usageErrors: ReadonlySet<string> = new Set([
  'GF_AUDIT_NOT_FOUND',
  'GF_CLI_USAGE',
  'GF_CLI_UNKNOWN_COMMAND',
  'GF_CLI_UNKNOWN_KIND',
  'GF_CLI_NO_STATE',
  'GF_CLI_MANIFESTS_INVALID',
  'GF_CLI_NO_DIRECTORY',
  'GF_ENCRYPTION_KEY_FILE',
  'GF_ENCRYPTION_KEY_INVALID',
  'GF_ENCRYPTION_KEY_MISSING',
  'GF_ENCRYPTION_KEY_PERMISSIONS',
  'GF_ENCRYPTION_KEY_WRONG',
  'GF_GIT_URL',
  'GF_GIT_BRANCH_NAME',
  'GF_GIT_CREDENTIALS',
  'GF_HOME_NOT_FOUND',
  'GF_KUBECONFIG_INVALID',
  'GF_KUBECONFIG_NOT_FOUND',
  'GF_SANDBOX_NOT_LINUX',
  'GF_SANDBOX_NOT_ROOT',
]);

export function usageError(message: string): GridferryError {
  return new GridferryError('GF_CLI_USAGE', message);
}

/** What is printed of an error, and the exit code it makes. */
export function describeError(error: unknown): { readonly text: string; readonly exitCode: number } {
  const code = error instanceof GridferryError ? error.code : 'GF_UNEXPECTED';
  const exitCode = usageErrors.has(code) ? ExitCode.usage : ExitCode.failed;
  // A bug's place is what a report about it needs; an error with a code says what to do instead.
  const stack = code === 'GF_UNEXPECTED' && error instanceof Error ? `\n${stackOf(error)}` : '';
  return { text: `error ${code}: ${messageOf(error)}${stack}`, exitCode };
}

function stackOf(error: Error): string {
  return (error.stack ?? '').split('\n').slice(1, 6).join('\n');
}
