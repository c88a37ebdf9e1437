import { lockServers } from './lock-servers.ts';
import type { Step } from '../step.ts';

/** Marks both servers again: the marks of the move went when it was over. */
export const returnLock: Step = { ...lockServers, name: 'return-lock' };
