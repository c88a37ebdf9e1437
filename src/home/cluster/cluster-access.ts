import type { User } from '@kubernetes/client-node/dist/config_types.js';

/** Where an API server is and who we are there: what is left of a kubeconfig, or of a Pod's service account. */
export interface ClusterAccess {
  /** `https://host:port`, possibly with a path before the API's own (as behind Rancher). */
  readonly server: URL;
  /** The namespace of the context, if it names one. */
  readonly namespace: string | undefined;
  readonly caFile?: string;
  /** PEM in base64, as a kubeconfig has it. */
  readonly caData?: string;
  readonly insecure: boolean;
  /** The name to expect in the server's certificate, when it is not the host. */
  readonly tlsServerName?: string;
  /** `http:`, `https:` or `socks5:`. */
  readonly proxyUrl?: URL;
  readonly user: User;
  /** Impersonation beyond the user name, as request headers. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
}
