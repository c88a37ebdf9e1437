import type { Step } from './step.ts';
import { captureSource } from './steps/capture-source.ts';
import { checkDns } from './steps/check-dns.ts';
import { checkLocalHealth } from './steps/check-local-health.ts';
import { checkPublicHealth } from './steps/check-public-health.ts';
import { copyFinalDelta } from './steps/copy-final-delta.ts';
import { copyImages } from './steps/copy-images.ts';
import { copyWritableLayers } from './steps/copy-writable-layer.ts';
import { createContainers } from './steps/create-containers.ts';
import { createVolumes } from './steps/create-volumes.ts';
import { cutOverDns } from './steps/cut-over-dns.ts';
import { lockServers } from './steps/lock-servers.ts';
import { lowerDnsTtl } from './steps/lower-dns-ttl.ts';
import { planDns } from './steps/plan-dns.ts';
import { precopyData } from './steps/precopy-data.ts';
import { preflight } from './steps/preflight.ts';
import { quiesceSource } from './steps/quiesce-source.ts';
import { reassignService } from './steps/reassign-service.ts';
import { release } from './steps/release.ts';
import { restoreDnsTtl } from './steps/restore-dns-ttl.ts';
import { soak } from './steps/soak.ts';
import { startTarget } from './steps/start-target.ts';
import { verifyData } from './steps/verify-data.ts';

/** The move of a service, in order. Undoing goes through it backwards. */
export const plan: readonly Step[] = [
  captureSource,
  lockServers,
  preflight,
  planDns,
  lowerDnsTtl,
  copyImages,
  createVolumes,
  precopyData,
  createContainers,
  quiesceSource,
  copyFinalDelta,
  copyWritableLayers,
  verifyData,
  startTarget,
  checkLocalHealth,
  cutOverDns,
  checkPublicHealth,
  checkDns,
  soak,
  reassignService,
  restoreDnsTtl,
  release,
];
