import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { queryRecord } from '../../../src/dns/resolve.ts';
import { countConnections } from '../../../src/docker/connections.ts';
import { moveTag } from '../../../src/docker/image-tags.ts';
import { sendImage } from '../../../src/docker/image-transfer.ts';
import { copyWritableLayer, readWritableChanges } from '../../../src/docker/writable-layer.ts';
import { clearForwards, endForward, hasForwardHelper, startForward } from '../../../src/forward/forward.ts';
import { measureLink } from '../../../src/ssh/link-speed.ts';
import { measureRoundTrip } from '../../../src/ssh/round-trip.ts';
import { scrubServer } from '../../../src/ssh/scrub.ts';
import { isLinkOpen, openServerLink } from '../../../src/ssh/server-link.ts';
import { stopPrograms } from '../../../src/ssh/transfer-folder.ts';
import { copyTree } from '../../../src/volumes/copy.ts';
import { sampleCompression } from '../../../src/volumes/link-probe.ts';
import { buildManifest, findManifest } from '../../../src/volumes/manifest.ts';
import { measureTree } from '../../../src/volumes/measure.ts';
import { openWorkbench } from '../../../src/volumes/open-workbench.ts';
import { sweepBenches } from '../../../src/volumes/sweep-benches.ts';
import { standbyCopy } from '../../../src/volumes/standby-copy.ts';
import { standbyManifests, verifyTrees } from '../../../src/volumes/verify.ts';

/**
 * What moves and compares bytes on the servers. The steps reach it through their context, so that the fault simulator can
 * put a model in its place and let the steps themselves run unchanged.
 */
export interface DataPlane {
  readonly openWorkbench: typeof openWorkbench;
  readonly sweepBenches: typeof sweepBenches;
  readonly measureTree: typeof measureTree;
  readonly copyTree: typeof copyTree;
  readonly sampleCompression: typeof sampleCompression;
  readonly buildManifest: typeof buildManifest;
  readonly findManifest: typeof findManifest;
  readonly verifyTrees: typeof verifyTrees;
  readonly standbyCopy: typeof standbyCopy;
  readonly standbyManifests: typeof standbyManifests;
  /** The direct path: connections from server to server, and what runs over them. */
  readonly openServerLink: typeof openServerLink;
  readonly isLinkOpen: typeof isLinkOpen;
  readonly measureServerLink: typeof measureLink;
  readonly measureRoundTrip: typeof measureRoundTrip;
  readonly stopPrograms: typeof stopPrograms;
  readonly scrubServer: typeof scrubServer;
  readonly sendImage: typeof sendImage;
  readonly moveTag: typeof moveTag;
  readonly readWritableChanges: typeof readWritableChanges;
  readonly copyWritableLayer: typeof copyWritableLayer;
  readonly countConnections: typeof countConnections;
  readonly startForward: typeof startForward;
  readonly endForward: typeof endForward;
  readonly hasForwardHelper: typeof hasForwardHelper;
  readonly clearForwards: typeof clearForwards;
  /** Asks name servers, as clients do. */
  readonly queryRecord: typeof queryRecord;
  /** Reaches a public address from this machine. */
  readonly openTcp: (address: string, port: number) => Duplex;
}

export const realDataPlane: DataPlane = {
  openWorkbench,
  sweepBenches,
  measureTree,
  copyTree,
  sampleCompression,
  buildManifest,
  findManifest,
  verifyTrees,
  standbyCopy,
  standbyManifests,
  openServerLink,
  isLinkOpen,
  measureServerLink: measureLink,
  measureRoundTrip,
  stopPrograms,
  scrubServer,
  sendImage,
  moveTag,
  readWritableChanges,
  copyWritableLayer,
  countConnections,
  startForward,
  endForward,
  hasForwardHelper,
  clearForwards,
  queryRecord,
  openTcp: (host, port) => connect({ host, port }),
};
