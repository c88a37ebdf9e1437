import type { TransferStatus } from '../../src/api/resources.ts';
import type { Step } from './step.ts';
import { awaitCutover } from './steps/await-cutover.ts';
import { captureSource } from './steps/capture-source.ts';
import { checkDns } from './steps/check-dns.ts';
import { checkLocalHealth } from './steps/check-local-health.ts';
import { checkPublicHealth } from './steps/check-public-health.ts';
import { chooseStrategy } from './steps/choose-strategy.ts';
import { chooseTransportStep } from './steps/choose-transport.ts';
import { clearForwards } from './steps/clear-forwards.ts';
import { copyFinalDelta } from './steps/copy-final-delta.ts';
import { copyLayersBeside } from './steps/copy-layers-beside.ts';
import { copyWritableLayers } from './steps/copy-writable-layer.ts';
import { createContainers } from './steps/create-containers.ts';
import { createVolumes } from './steps/create-volumes.ts';
import { cutOverDns } from './steps/cut-over-dns.ts';
import { drainSource } from './steps/drain-source.ts';
import { forwardOldAddress } from './steps/forward-old-address.ts';
import { lockServers } from './steps/lock-servers.ts';
import { lowerDnsTtl } from './steps/lower-dns-ttl.ts';
import { planDns } from './steps/plan-dns.ts';
import { preflight } from './steps/preflight.ts';
import { quiesceSource } from './steps/quiesce-source.ts';
import { returnCleanTarget } from './steps/return-clean-target.ts';
import { returnDns } from './steps/return-dns.ts';
import { returnFinalDelta } from './steps/return-final-delta.ts';
import { returnForwardOff } from './steps/return-forward-off.ts';
import { returnHealth } from './steps/return-health.ts';
import { returnLock } from './steps/return-lock.ts';
import { returnLowerDnsTtl } from './steps/return-lower-dns-ttl.ts';
import { returnPrecopy } from './steps/return-precopy.ts';
import { returnPreflight } from './steps/return-preflight.ts';
import { returnQuiesce } from './steps/return-quiesce.ts';
import { returnReassign } from './steps/return-reassign.ts';
import { returnRelease } from './steps/return-release.ts';
import { returnStart } from './steps/return-start.ts';
import { returnVerify } from './steps/return-verify.ts';
import { reassignService } from './steps/reassign-service.ts';
import { release } from './steps/release.ts';
import { restoreDnsTtl } from './steps/restore-dns-ttl.ts';
import { soak } from './steps/soak.ts';
import { startBeside } from './steps/start-beside.ts';
import { startTarget } from './steps/start-target.ts';
import { stopSource } from './steps/stop-source.ts';
import { upload } from './steps/upload.ts';
import { verifyBeside } from './steps/verify-beside.ts';
import { verifyData } from './steps/verify-data.ts';

/** The plan of a transfer, from what is recorded of it: the same record always gives the same plan. */
export type PlanOf = (status: Readonly<TransferStatus>) => readonly Step[];

/** Until choose-strategy has decided both plans are the same. The way back comes after whatever was done before it. */
export const planOf: PlanOf = ({ strategy, rollback }) => [
  ...(strategy === 'StartFirst' ? startFirst : stopFirst),
  ...(rollback === undefined ? [] : rollback.data === 'Discard' ? wayBackWithoutData : wayBack),
];

/** Brings a service back that was moved. Until `return-dns` is done, undoing goes through it backwards. */
export const wayBack: readonly Step[] = [
  returnPreflight,
  returnLock,
  returnLowerDnsTtl,
  returnPrecopy,
  returnForwardOff,
  returnQuiesce,
  returnFinalDelta,
  returnVerify,
  returnStart,
  returnHealth,
  returnDns,
  returnReassign,
  returnCleanTarget,
  returnRelease,
];

/**
 * The same when what was written at the target is dropped. Nothing can be carried there from the source, so nothing may be
 * written at the source that could still be taken back: whoever has its address is passed on, to the stopped target, until
 * the service is found healthy, and from then on it stays.
 */
export const wayBackWithoutData: readonly Step[] = wayBack.flatMap((step): readonly Step[] => {
  if (step === returnForwardOff) return [];
  if (step === returnHealth) return [{ ...returnHealth, commitPoint: true }, returnForwardOff];
  if (step === returnDns)
    return [{ ...returnDns, commitPoint: false, untilDone: 'the public name still leads to the target' }];
  return [step];
});

/** The move of a service that is stopped before it starts at the target. Undoing goes through it backwards. */
export const stopFirst: readonly Step[] = [
  captureSource,
  lockServers,
  preflight,
  chooseStrategy,
  planDns,
  lowerDnsTtl,
  chooseTransportStep,
  createVolumes,
  upload,
  createContainers,
  awaitCutover,
  clearForwards,
  quiesceSource,
  copyFinalDelta,
  copyWritableLayers,
  verifyData,
  startTarget,
  checkLocalHealth,
  cutOverDns,
  forwardOldAddress,
  checkPublicHealth,
  checkDns,
  soak,
  reassignService,
  restoreDnsTtl,
  release,
];

/**
 * The move of a service that has nothing to keep in step: it starts at the target beside the source, which stops when its
 * clients have gone over. It is never away, and goes back the same way: the source starts before the target stops.
 */
export const startFirst: readonly Step[] = [
  ...stopFirst.slice(0, stopFirst.indexOf(quiesceSource)),
  copyLayersBeside,
  verifyBeside,
  startBeside,
  checkLocalHealth,
  cutOverDns,
  forwardOldAddress,
  drainSource,
  stopSource,
  ...stopFirst.slice(stopFirst.indexOf(checkPublicHealth)),
];
