import { GridferryError } from '../errors.ts';
import type { GitResult } from './git-process.ts';

/** What git says, by what is to be done about it; the first that fits. git speaks English here: LC_ALL is C. */
const REMOTE_FAILURES = [
  {
    code: 'GF_GIT_DISK_FULL',
    pattern: /no space left on device|disk quota exceeded|file too large/i,
    what: 'the disk of the state directory is full',
    hint: 'make room; what was fetched before stays',
  },
  {
    code: 'GF_GIT_HOST_KEY',
    pattern: /host key verification failed|host identification has changed|no .* host key is known/i,
    what: 'the server showed a host key that --git-known-hosts does not have',
    hint: 'compare it with what the operator of the server publishes, then correct the file',
  },
  {
    code: 'GF_GIT_AUTH',
    pattern:
      /authentication failed|could not read (?:username|password)|permission denied \(|access denied|http basic: |returned error: 40[13]|load key /i,
    what: 'the server did not accept the login',
    hint: 'check --git-token-file or --git-ssh-key, and what the token or key may read',
  },
  {
    code: 'GF_GIT_NOT_FOUND',
    pattern: /repository .*not found|does not exist|does not appear to be a git repository|returned error: 404/i,
    what: 'there is no such repository, or the login may not see it',
    hint: 'check the URL',
  },
] as const;

/** Objects or files of the clone that are not what they should be. */
const CORRUPT =
  /bad object|corrupt|not a git repository|unable to read (?:tree|sha1|object)|missing (?:blob|tree|object)|broken (?:ref|commit)|loose object|\.lock': file exists|bad (?:ref|config)|packfile .* (?:does not match|cannot be)|is too short|not a valid object|could not parse (?:commit|object)/i;

/** Why a remote could not be read. */
export function remoteFailure(shownUrl: string, { stderr }: GitResult): GridferryError {
  const said = lastWords(stderr);
  const known = REMOTE_FAILURES.find(({ pattern }) => pattern.test(stderr));
  if (known === undefined) {
    if (CORRUPT.test(stderr)) return corruptClone(stderr);
    return new GridferryError(
      'GF_GIT_UNREACHABLE',
      `${shownUrl} cannot be fetched (${said}): check the network; it is tried again.`,
      { class: 'retryable', details: { stderr: said } },
    );
  }
  const { code, what, hint } = known;
  // All of them may be put right outside of Gridferry, so it goes on trying, if less often.
  return new GridferryError(code, `${shownUrl} cannot be fetched, as ${what} (${said}): ${hint}.`, {
    class: 'retryable',
    details: { stderr: said },
  });
}

/** The clone itself failed: a full disk, or files that are damaged and have to be fetched again. */
export function localFailure({ stderr }: GitResult): GridferryError {
  const [full] = REMOTE_FAILURES;
  if (full.pattern.test(stderr)) {
    const message = `The clone cannot be written, as ${full.what} (${lastWords(stderr)}): ${full.hint}.`;
    return new GridferryError(full.code, message, { class: 'retryable' });
  }
  return corruptClone(stderr);
}

export function corruptClone(stderr: string): GridferryError {
  return new GridferryError(
    'GF_GIT_CORRUPT',
    `The clone in the state directory is damaged (${lastWords(stderr)}); it is fetched anew.`,
    { class: 'retryable' },
  );
}

function lastWords(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => !/^(?:hint|warning):/i.test(line));
  const telling = lines.filter((line) => /^(?:fatal|error|remote|ssh|Permission|Host key)/i.test(line));
  const said = (telling.length > 0 ? telling : lines).slice(0, 3).join('; ');
  return said === '' ? 'it gave no reason' : said.slice(0, 400);
}
