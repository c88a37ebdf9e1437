/** Another Docker engine than the machine's, or other settings for it. */
export interface EngineSpec {
  /** A folder with an engine's programs (dockerd, containerd, runc, docker, …); it comes first on the server's PATH. */
  readonly dockerdPath?: string;
  /** Merged into the server's /etc/docker/daemon.json when its disk is made. */
  readonly config?: Readonly<Record<string, unknown>>;
}
