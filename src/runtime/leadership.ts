/** Whether this process may act. Given to the manager where several replicas run. */
export interface Leadership {
  /** By this process's own clock: false as soon as the lease may have run out, even if nobody told us yet. */
  isLeader(): boolean;
  /** Counts the changes of leader; a server refuses a command that carries an older one. */
  epoch(): number;
  /** Fires once, when the lease is lost: the process should then end. */
  readonly lost: AbortSignal;
}
