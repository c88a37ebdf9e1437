import { GridferryError } from '../../../src/errors.ts';
import { checks } from '../preflight/checks.ts';
import { gatherFacts } from '../preflight/facts.ts';
import type { Step } from '../step.ts';
import { createdPathsOf } from '../copying/target-paths.ts';

/** Looks for everything that would stop the move half-way, before anything is touched. All blockers are named at once. */
export const preflight: Step = {
  name: 'preflight',
  phase: 'Preparing',
  async apply(context) {
    const facts = await gatherFacts(context);
    const blockers = checks.flatMap((check) => check.run(facts));
    if (blockers.length > 0) {
      const [first] = blockers;
      throw new GridferryError(
        first!.code,
        blockers.map(({ code, message }, index) => (index === 0 ? message : `${code}: ${message}`)).join('; '),
        { details: { blockers: blockers.length } },
      );
    }
    const createdPaths = createdPathsOf(facts.targetPaths);
    const message = `${String(checks.length)} checks passed`;
    return {
      record(status, condition) {
        // A second look already sees what the first one's steps made.
        status.createdPaths ??= createdPaths;
        condition('PreflightPassed', 'True', 'Passed', message);
      },
      message,
    };
  },
};
