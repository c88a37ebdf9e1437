import t from 'tap';
import { watching } from './kubectl/scenarios/watching.ts';
import { kubectlSuite } from './kubectl/suite.ts';

kubectlSuite(t, watching);
