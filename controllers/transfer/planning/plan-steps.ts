import { formatBytes } from '../../format-bytes.ts';
import type { TransferContext } from '../context.ts';
import { publicNameOf } from '../cutover/dns-target.ts';
import type { DataEstimate, PlannedPart } from './plan-parts.ts';

/** What the descriptions of the steps are made of. */
export interface PlannedFacts {
  readonly context: Pick<TransferContext, 'transfer' | 'service' | 'platform' | 'sourceServer' | 'targetServer'>;
  readonly parts: readonly PlannedPart[];
  readonly data: readonly DataEstimate[];
  readonly strategy: string;
}

type Describe = (facts: PlannedFacts) => string;

const source = ({ context }: PlannedFacts): string => context.sourceServer.metadata.name;
const target = ({ context }: PlannedFacts): string => context.targetServer.metadata.name;
const spec = ({ context }: PlannedFacts): PlannedFacts['context']['transfer']['spec'] => context.transfer.spec;

function amount({ parts }: PlannedFacts, ...kinds: readonly PlannedPart['kind'][]): string {
  const wanted = parts.filter(({ kind }) => kinds.includes(kind));
  return formatBytes(wanted.reduce((sum, { bytes }) => sum + bytes, 0));
}

const dnsName = ({ context }: PlannedFacts): string | undefined =>
  spec({ context } as PlannedFacts).dns?.skip === true || context.platform?.spec.cloudflare === undefined
    ? undefined
    : publicNameOf(context).name;

const withDns =
  (describe: (name: string, facts: PlannedFacts) => string): Describe =>
  (facts) => {
    const name = dnsName(facts);
    return name === undefined ? 'nothing: DNS is left alone' : describe(name, facts);
  };

/** What each step would do here, by its name; a step that is not named speaks for itself. */
const descriptions: Readonly<Record<string, Describe>> = {
  'capture-source': (facts) => `reads the service on ${source(facts)}, and measures its data`,
  'lock-servers': (facts) => `marks ${source(facts)} and ${target(facts)} as taking part`,
  preflight: () => 'looks for all that would stop the move half-way',
  'choose-strategy': ({ strategy }) => strategy,
  'plan-dns': withDns((name, facts) => `${name} → ${target(facts)}`),
  'lower-dns-ttl': withDns((name) => `lowers the TTL of ${name} to 60 s`),
  'choose-transport': () => 'finds out how bytes travel fastest',
  upload: (facts) => `brings ${amount(facts, 'Image', 'Volume', 'Path')} to ${target(facts)} while the service runs`,
  'create-volumes': (facts) => `makes networks and volumes on ${target(facts)}`,
  'create-containers': (facts) => `makes the containers on ${target(facts)}, stopped`,
  'await-cutover': (facts) =>
    spec(facts).cutover === 'Auto'
      ? 'goes on as soon as the copy is fresh'
      : `keeps the copy fresh until ${spec(facts).cutover === 'Manual' ? 'cutoverNow is set' : spec(facts).cutover}`,
  'clear-forwards': (facts) => `takes away what an earlier move left on ${target(facts)} for old addresses`,
  'copy-layers-beside': (facts) => `copies up to ${amount(facts, 'WritableLayer')} written outside volumes`,
  'verify-beside': () => 'compares what the service only reads',
  'start-beside': (facts) => `starts the service on ${target(facts)}, while it runs on ${source(facts)}`,
  'drain-source': (facts) => `lets open connections end, for ${spec(facts).connectionDrain} at most`,
  'stop-source': (facts) => `stops the service on ${source(facts)}`,
  'quiesce-source': (facts) => `stops the service on ${source(facts)}: the downtime begins`,
  'copy-final-delta': () => 'copies what changed since',
  'copy-writable-layer': (facts) => `copies up to ${amount(facts, 'WritableLayer')} written outside volumes`,
  'verify-data': (facts) => `compares both sides (verify: ${spec(facts).verify})`,
  'start-target': (facts) => `starts the service on ${target(facts)}`,
  'check-local-health': () => 'waits until it is healthy: the downtime ends',
  'cut-over-dns': withDns((name, facts) => `points ${name} to ${target(facts)}: the commit point`),
  'forward-old-address': (facts) => `passes on what still arrives at ${source(facts)}`,
  'check-public-health': () => 'asks from outside',
  'check-dns': withDns((name) => `asks the name servers for ${name}`),
  soak: (facts) => `watches it for ${spec(facts).soak.duration}`,
  'reassign-service': (facts) =>
    spec(facts).serviceRef === undefined
      ? 'nothing: no Service is named'
      : `says that the Service is on ${target(facts)}`,
  'restore-dns-ttl': withDns((name) => `puts the TTL of ${name} back`),
  release: (facts) => `takes marks and helpers away; the stopped source stays on ${source(facts)}`,
};

/** What a step would do; undefined when there is nothing to add to its name. */
export function describeStep(name: string, facts: PlannedFacts): string | undefined {
  return descriptions[name]?.(facts);
}
