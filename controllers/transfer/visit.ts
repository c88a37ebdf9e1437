import type { Transfer, TransferStatus } from '../../src/api/resources.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { findCondition, setCondition } from '../../src/runtime/conditions.ts';
import { setReadiness } from '../../src/runtime/readiness.ts';
import { plainCopy } from '../../src/runtime/structural.ts';
import type { Redactor } from '../../src/security/redact.ts';
import { timestamp } from '../timestamps.ts';
import { deriveReadiness } from './readiness.ts';
import { currentRecord, derivePercent, derivePhase, knownConditions } from './status.ts';
import type { SetCondition } from './step.ts';

const LOG_LINES = 100;
const LINE_LENGTH = 500;

/**
 * The status in the making during one reconcile: a copy that is changed step by step and derived from last. Everything
 * that gets into it as text is redacted here.
 */
export interface Visit {
  readonly status: TransferStatus;
  readonly condition: SetCondition;
  log(line: string): void;
  /** Forgets everything but what is given: for another attempt. */
  restart(kept: Partial<TransferStatus>): void;
  now(): string;
  /** The status to write: what follows from the rest is computed now. */
  finish(): TransferStatus;
}

export function openVisit(transfer: Readonly<Transfer>, clock: Clock, redactor: Redactor): Visit {
  const status = plainCopy<TransferStatus>(transfer.status ?? {});
  const generation = transfer.metadata.generation;

  const visit: Visit = {
    status,
    condition(type, value, reason, message) {
      status.conditions = [
        ...setCondition(
          status.conditions ?? [],
          {
            type,
            status: value,
            reason,
            message: redactor.redact(message),
            ...(generation === undefined ? {} : { observedGeneration: generation }),
          },
          clock.now(),
        ),
      ];
    },
    log(line) {
      const text = `${timestamp(clock)} ${redactor.redact(line)}`.slice(0, LINE_LENGTH);
      status.logs = [...(status.logs ?? []), text].slice(-LOG_LINES);
    },
    restart(kept) {
      for (const key of Object.keys(status)) Reflect.deleteProperty(status, key);
      Object.assign(status, kept);
      nameConditions();
    },
    now: () => timestamp(clock),
    finish() {
      status.phase = derivePhase(status);
      status.progressPercent = derivePercent(status);
      if (status.message !== undefined) status.message = redactor.redact(status.message);
      const current = currentRecord(status);
      if (current === undefined) delete status.currentStep;
      else status.currentStep = current.name;
      if (generation !== undefined) status.observedGeneration = generation;
      const readiness = deriveReadiness(status, transfer.spec);
      status.conditions = setReadiness(status.conditions, readiness, generation, clock.now());
      return status;
    },
  };
  nameConditions();
  return visit;

  function nameConditions(): void {
    for (const type of knownConditions) {
      if (findCondition(status.conditions, type) === undefined) {
        visit.condition(type, 'Unknown', 'NotReached', 'the transfer has not come this far yet');
      }
    }
  }
}
