import t from 'tap';
import { coreKinds } from './kubectl/scenarios/core-kinds.ts';
import { kubectlSuite } from './kubectl/suite.ts';

kubectlSuite(t, coreKinds);
