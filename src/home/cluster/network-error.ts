import { GridferryError, messageOf } from '../../errors.ts';

const TLS_CODES =
  /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET|VERIFY|DECODE|DECRYPT)|HOSTNAME_MISMATCH|EPROTO)/;

/** Failures that happen before a byte of the request leaves this machine. */
const NEVER_SENT = new Set(['connect', 'getaddrinfo', 'getaddrinfoAsync']);

interface SystemError {
  readonly code?: string;
  readonly syscall?: string;
  readonly errors?: readonly unknown[];
}

/** Whether the server cannot have received the request, so that even a write may be sent again. */
export function wasNeverSent(error: unknown): boolean {
  const { syscall, errors } = causeOf(error) as SystemError;
  // With several addresses Node tries them all and collects the failures.
  if (errors !== undefined) return errors.length > 0 && errors.every(wasNeverSent);
  return syscall !== undefined && NEVER_SENT.has(syscall);
}

/** A failure of the connection, as what a user can do about it. Errors that have a code already pass. */
export function networkError(error: unknown, host: string): GridferryError {
  if (error instanceof GridferryError) return error;
  const code = (error as SystemError).code ?? '';
  if (TLS_CODES.test(code)) {
    return new GridferryError(
      'GF_API_TLS',
      `The certificate of the API server ${host} is not trusted: ${reasonOf(error)}; ` +
        `check certificate-authority, tls-server-name and the client certificate in the kubeconfig. It is tried again.`,
      { class: 'retryable', cause: error },
    );
  }
  return new GridferryError(
    'GF_API_UNREACHABLE',
    `The API server ${host} cannot be reached: ${reasonOf(error)}; check that it runs and the network to it. ` +
      `It is tried again.`,
    { class: 'retryable', cause: error },
  );
}

export function timeoutError(host: string, ms: number, what: string): GridferryError {
  return new GridferryError(
    'GF_API_TIMEOUT',
    `The API server ${host} did not answer ${what} within ${ms / 1000} s; check its load and the network to it. ` +
      `It is tried again.`,
    { class: 'retryable' },
  );
}

export function badAnswer(host: string, problem: string, cause?: unknown): GridferryError {
  return new GridferryError(
    'GF_API_BAD_ANSWER',
    `${host} does not answer like a Kubernetes API server: ${problem}; check the server's address in the kubeconfig ` +
      `and the proxies before it. It is tried again.`,
    { class: 'retryable', ...(cause === undefined ? {} : { cause }) },
  );
}

function reasonOf(error: unknown): string {
  const { errors, code } = error as SystemError;
  const text = messageOf(error) || messageOf(errors?.[0] ?? '') || (code ?? 'the connection failed');
  return code === undefined || text.includes(code) ? text : `${text} (${code})`;
}

function causeOf(error: unknown): unknown {
  return error instanceof GridferryError && error.cause !== undefined ? error.cause : error;
}
