import { basename, resolve } from 'node:path';
import { GridferryError } from '../errors.ts';

/** Where a repository is, taken apart as far as its credentials and its name need it. */
export interface GitUrl {
  readonly transport: 'https' | 'http' | 'ssh' | 'file';
  /** What git is given. Never holds a password. */
  readonly remote: string;
  /** `https://host:port`, which is all that a token is sent to; empty for the other transports. */
  readonly origin: string;
  /** The user name in an https URL, for servers that want a certain one beside a token. */
  readonly user: string | undefined;
  /** The last part of the path, without `.git`. */
  readonly name: string;
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i;
const HOST = String.raw`(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])`;
/** `user@host:path`, as scp writes it; `host:path` without a user would be taken for a path on Windows and is not. */
const SCP = new RegExp(String.raw`^(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?${HOST}:(?!//)[^\s]+$`);
const SSH = new RegExp(String.raw`^ssh://(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?${HOST}(?::\d{1,5})?/\S+$`);

/**
 * Reads an https, ssh (`ssh://…` or `user@host:path`) or file URL, or a path on this machine. Everything else, git's
 * remote helpers (`ext::…`) and unencrypted transports among it, is refused.
 *
 * @param allowHttp lets `http://` reach other machines, where everybody on the way can change what is applied.
 * @throws GridferryError `GF_GIT_URL`
 */
export function parseGitUrl(text: string, { allowHttp = false }: { readonly allowHttp?: boolean } = {}): GitUrl {
  if (text === '' || text.startsWith('-') || /[\u0000-\u0020\u007f]/.test(text) || /^[A-Za-z0-9+.-]*::/.test(text)) {
    throw refused(text, 'it is no URL of a repository');
  }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]?.toLowerCase();
  switch (scheme) {
    case 'https':
    case 'http':
      return webUrl(text, scheme, allowHttp);
    case 'ssh':
      if (!SSH.test(text)) throw refused(text, 'write ssh://user@host/path, without a password');
      return { transport: 'ssh', remote: text, origin: '', user: undefined, name: nameOf(text) };
    case 'file':
      return localPath(new URL(text).pathname);
    case undefined:
      break;
    default:
      throw refused(text, `${scheme}:// is not supported; use https or ssh`);
  }
  if (!/^[./]/.test(text) && SCP.test(text)) {
    return { transport: 'ssh', remote: text, origin: '', user: undefined, name: nameOf(text) };
  }
  if (/^[^./][^/]*:/.test(text)) throw refused(text, 'it is neither user@host:path nor a path; write ./ before a path');
  return localPath(text);
}

function webUrl(text: string, transport: 'https' | 'http', allowHttp: boolean): GitUrl {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refused(text, 'it is no URL');
  }
  if (url.password !== '') throw refused(text, 'a password in it would be seen by others; use --git-token-file');
  if (transport === 'http' && !allowHttp && !LOOPBACK.test(url.hostname)) {
    throw refused(text, 'http is not encrypted; use https, or say --git-allow-http');
  }
  const user = url.username === '' ? undefined : decodeURIComponent(url.username);
  url.username = '';
  return { transport, remote: url.href, origin: url.origin, user, name: nameOf(url.pathname) };
}

function localPath(path: string): GitUrl {
  const remote = resolve(path);
  return { transport: 'file', remote, origin: '', user: undefined, name: nameOf(remote) };
}

function nameOf(path: string): string {
  return basename(path.replace(/[/:]+$/, '').replaceAll(':', '/')).replace(/\.git$/, '');
}

function refused(text: string, why: string): GridferryError {
  const shown = text.replace(/\/\/[^/@]*@/, '//…@').slice(0, 200);
  return new GridferryError('GF_GIT_URL', `${JSON.stringify(shown)} cannot be used as a Git source: ${why}.`);
}

/**
 * A branch by its short name; git's own rules (git-check-ref-format), so that no name is taken for something else.
 *
 * @throws GridferryError `GF_GIT_BRANCH_NAME`
 */
export function checkBranch(branch: string): string {
  const wellFormed =
    branch.length <= 255 &&
    branch !== '@' &&
    !branch.startsWith('-') &&
    !/[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|\.$|^\/|\/$/.test(branch) &&
    branch.split('/').every((part) => part !== '' && !part.startsWith('.') && !part.endsWith('.lock'));
  if (wellFormed) return branch;
  throw new GridferryError(
    'GF_GIT_BRANCH_NAME',
    `${JSON.stringify(branch.slice(0, 100))} is no name of a branch: write it as "git branch" shows it.`,
  );
}
