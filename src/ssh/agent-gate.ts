import ssh2 from 'ssh2';
import type { BaseAgent } from 'ssh2';
import type { SshAgent } from './agent.ts';

/**
 * What ssh2 asks when a server wants to reach the agent that is forwarded to it. sshd knows one forwarded agent for a
 * connection and tells every program of it, so it is only behind the gate while the program runs that it is for.
 */
export interface AgentGate {
  /** For `Client.connect`. It has no key for logging in at that server itself. */
  readonly agent: BaseAgent;
  /** Runs something while requests are answered by this agent; another one waits until it is over. */
  lend<T>(agent: SshAgent, use: () => Promise<T>): Promise<T>;
}

export function createAgentGate(): AgentGate {
  let lent: SshAgent | undefined;
  let last: Promise<unknown> = Promise.resolve();

  class Gate extends ssh2.BaseAgent {
    override getIdentities(done: (error: Error | undefined, keys?: []) => void): void {
      done(undefined, []);
    }
    override sign(_key: unknown, _data: unknown, options: unknown, done?: (error: Error) => void): void {
      const answer = typeof options === 'function' ? (options as (error: Error) => void) : done;
      answer?.(new Error('this agent only answers a server it is forwarded to'));
    }
    override getStream(done: (error: Error | null, stream?: never) => void): void {
      if (lent === undefined) done(new Error('no agent is lent'));
      else done(null, lent.connect() as never);
    }
  }

  return {
    agent: new Gate(),
    async lend(agent, use) {
      const before = last;
      let leave: () => void = () => {};
      last = new Promise<void>((resolve) => (leave = resolve));
      await before;
      lent = agent;
      try {
        return await use();
      } finally {
        lent = undefined;
        agent.close();
        leave();
      }
    },
  };
}
