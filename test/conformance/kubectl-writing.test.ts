import t from 'tap';
import { writing } from './kubectl/scenarios/writing.ts';
import { kubectlSuite } from './kubectl/suite.ts';

kubectlSuite(t, writing);
