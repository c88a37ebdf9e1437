/** Whether this process may act. Given to the manager where several replicas run. */
export interface Leadership {
  /**
   * By this process's own clock: false as soon as the lease may have run out, even if nobody told us yet. Once it was
   * true and is false, it stays so.
   */
  isLeader(): boolean;
  /** Grows with every change of leader; a server refuses a command that carries an older one. 0 before the election. */
  epoch(): number;
  /** Resolves when this process begins to lead. Never, when it never does. */
  readonly elected: Promise<void>;
  /** Fires once, when the lease is lost: the process should then end. The reason is `GF_LEADERSHIP_LOST`. */
  readonly lost: AbortSignal;
}
