import { readFile, rm } from 'node:fs/promises';
import { GridferryError } from '../errors.ts';
import { writeAtomically, type ServerLayout } from './fleet-layout.ts';
import { run } from './run.ts';

/** How a server's cable behaves, in both directions. */
export interface LinkShape {
  readonly rateMbit?: number;
  /** Added to every packet in each direction: a round trip takes twice as much longer. */
  readonly delayMs?: number;
  readonly lossPercent?: number;
}

/** A link's whole state; it survives a power cycle of the server, as a cable would. */
export interface LinkState {
  readonly shape?: LinkShape;
  /** Addresses whose packets vanish; `all` for every one. */
  readonly cut: readonly string[];
}

export const everything = 'all';

export async function readLink(server: ServerLayout): Promise<LinkState> {
  const text = await readFile(server.linkFile, 'utf8').catch(() => undefined);
  return text === undefined ? { cut: [] } : (JSON.parse(text) as LinkState);
}

/** Records the state and makes the cable behave so. */
export async function setLink(server: ServerLayout, initPid: number | undefined, state: LinkState): Promise<void> {
  if (initPid !== undefined) {
    try {
      await applyLink(server, initPid, state);
    } catch (error) {
      // What the kernel refuses changes nothing: the link stays as it is recorded.
      await applyLink(server, initPid, await readLink(server));
      throw error;
    }
  }
  if (state.shape === undefined && state.cut.length === 0) await rm(server.linkFile, { force: true });
  else await writeAtomically(server.linkFile, JSON.stringify(state));
}

/** Packets are shaped where they leave: from the server at its eth0, towards it at the machine's end of the cable. */
export async function applyLink(server: ServerLayout, initPid: number, state: LinkState): Promise<void> {
  const inside = ['nsenter', '--target', String(initPid), '--net', '--'];
  await applyDiscipline(inside, 'eth0', state, 'dst');
  await applyDiscipline([], server.hostInterface, state, 'src');
}

/**
 * One tree per direction: class 1:1 carries the traffic at the wanted rate, class 1:2 ends in a black hole. Only IP goes
 * there: ARP still works, so that a sender sees silence and not "no route to host".
 */
export function disciplineCommands(device: string, state: LinkState, peerField: 'src' | 'dst'): string[] {
  const { shape, cut } = state;
  if (shape === undefined && cut.length === 0) return [];
  const rate = shape?.rateMbit ?? 40_000;
  // A burst lasts 5 ms, and at least one full segment of 64 KiB as the kernel hands it over.
  const burst = Math.max(Math.ceil((rate * 1e6 * 0.005) / 8), 66_000);
  const commands = [
    `qdisc add dev ${device} root handle 1: htb default 1`,
    `class add dev ${device} parent 1: classid 1:1 htb rate ${rate}mbit burst ${burst}b cburst ${burst}b quantum 60000`,
  ];
  const { delayMs = 0, lossPercent = 0 } = shape ?? {};
  if (delayMs > 0 || lossPercent > 0) {
    // The queue must hold what is under way during the delay, or the rate is never reached.
    const limit = Math.max(1000, Math.ceil((rate * 1e6 * ((delayMs + 50) / 1000)) / 8 / 1500));
    const parts = [`limit ${Math.min(limit, 1_000_000)}`];
    if (delayMs > 0) parts.push(`delay ${delayMs}ms`);
    if (lossPercent > 0) parts.push(`loss ${lossPercent}%`);
    commands.push(`qdisc add dev ${device} parent 1:1 handle 10: netem ${parts.join(' ')}`);
  }
  if (cut.length > 0) {
    commands.push(
      `class add dev ${device} parent 1: classid 1:2 htb rate ${rate}mbit quantum 60000`,
      `qdisc add dev ${device} parent 1:2 handle 20: blackhole`,
    );
    for (const peer of cut) {
      const match = peer === everything ? 'match u32 0 0' : `match ip ${peerField} ${peer}/32`;
      commands.push(`filter add dev ${device} parent 1: protocol ip prio 1 u32 ${match} flowid 1:2`);
    }
    if (cut.includes(everything)) {
      commands.push(`filter add dev ${device} parent 1: protocol ipv6 prio 2 u32 match u32 0 0 flowid 1:2`);
    }
  }
  return commands;
}

async function applyDiscipline(
  inside: readonly string[],
  device: string,
  state: LinkState,
  peerField: 'src' | 'dst',
): Promise<void> {
  // Deleting what is not there is the common case, and no error.
  await run([...inside, 'tc', 'qdisc', 'delete', 'dev', device, 'root'], { reject: false });
  const commands = disciplineCommands(device, state, peerField);
  if (commands.length === 0) return;
  const result = await run([...inside, 'tc', '-batch', '-'], { input: `${commands.join('\n')}\n`, reject: false });
  if (result.exitCode === 0) return;
  const needsNetem = commands.some((command) => command.includes('netem'));
  throw new GridferryError(
    'GF_SANDBOX_LINK_UNSUPPORTED',
    `This machine's kernel cannot shape the link so (${result.stderr.trim().split('\n')[0]}).${
      needsNetem ? ' Delay and loss need its sch_netem module; a rate and a cut work without it.' : ''
    }`,
  );
}
