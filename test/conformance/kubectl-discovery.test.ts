import t from 'tap';
import { discovery } from './kubectl/scenarios/discovery.ts';
import { kubectlSuite } from './kubectl/suite.ts';

kubectlSuite(t, discovery);
